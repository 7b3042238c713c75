// One step of a row's way through Tailrace, and what it costs.

export type Stage = {
  readonly stage: string;
  /** Microseconds of CPU a row. */
  readonly usPerRow: number;
  readonly note?: string;
};

const WARM_UP_ROUNDS = 2;
const ROUNDS = 5;

/** Time of `work` a row: the best of some rounds, because whatever else runs on the machine only adds. */
export function timePerRow(rows: number, work: (rows: number) => void): number {
  let best = Infinity;
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    const began = process.hrtime.bigint();
    work(rows);
    const microseconds = Number(process.hrtime.bigint() - began) / 1000 / rows;
    if (round >= WARM_UP_ROUNDS) best = Math.min(best, microseconds);
  }
  return best;
}

/** CPU of `work` on all threads, a row: for work that also waits. */
export async function cpuPerRow(rows: number, work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / rows;
}

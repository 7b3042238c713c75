// What a snapshot sees: which transactions, by the ids of 32 bits that the stream gives them. Pure.
// https://www.postgresql.org/docs/current/functions-info.html#FUNCTIONS-INFO-SNAPSHOT

export type Snapshot = {
  /** The first id that was not given out yet. 64 bits wide. */
  readonly xmax: bigint;
  /** Below it: those that had not ended, as far as others could see. Their lower 32 bits. */
  readonly running: ReadonlySet<number>;
};

const LOWER_32 = 0xffff_ffffn;

/** Reads `xmin:xmax:xip,xip…`. */
export function parseSnapshot(text: string): Snapshot {
  const [, xmax = '0', running = ''] = text.split(':');
  const ids = running === '' ? [] : running.split(',');
  return { xmax: BigInt(xmax), running: new Set(ids.map((id) => Number(BigInt(id) & LOWER_32))) };
}

/** Does it see what this transaction, which has committed, did? Half of all ids are past, seen from any: they wrap. */
export function sees({ xmax, running }: Snapshot, xid: number): boolean {
  const limit = Number(xmax & LOWER_32);
  return ((xid - limit) | 0) < 0 && !running.has(xid);
}

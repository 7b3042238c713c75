// Which character becomes which, written short: letters of one alphabet lie beside each other, or small beside capital. Pure.

/** By code point. */
export type CaseMap = ReadonlyMap<number, number>;

type Run = {
  readonly from: number;
  readonly step: number;
  readonly count: number;
  readonly distance: number;
};

/** `c0.1.17.20 …`: from, step, how many, and how far away what they become is; hexadecimal. */
export function writeRuns(map: CaseMap): string {
  const runs: Run[] = [];
  for (const [from, to] of [...map].sort(([a], [b]) => a - b)) {
    const distance = to - from;
    const last = runs.at(-1);
    const step = last === undefined ? 0 : from - (last.from + (last.count - 1) * last.step);
    const goesOn =
      last !== undefined &&
      last.distance === distance &&
      step <= MAX_STEP &&
      (last.count === 1 || step === last.step);
    if (goesOn) runs[runs.length - 1] = { ...last, step, count: last.count + 1 };
    else runs.push({ from, step: 1, count: 1, distance });
  }
  return runs
    .map(({ from, step, count, distance }) =>
      [from, step, count, distance].map((n) => n.toString(16)).join('.'),
    )
    .join(' ');
}

const MAX_STEP = 2;

export function readRuns(text: string): CaseMap {
  const map = new Map<number, number>();
  for (const run of text.split(/\s+/)) {
    if (run === '') continue;
    const [from, step, count, distance] = run.split('.').map((n) => Number.parseInt(n, 16)) as [
      number,
      number,
      number,
      number,
    ];
    for (let i = 0; i < count; i++) map.set(from + i * step, from + i * step + distance);
  }
  return map;
}

/** What `map` has otherwise than `base`; a character that stays as it is becomes itself. */
export function differences(map: CaseMap, base: CaseMap): CaseMap {
  const found = new Map<number, number>();
  for (const from of new Set([...map.keys(), ...base.keys()])) {
    const to = map.get(from) ?? from;
    if (to !== (base.get(from) ?? from)) found.set(from, to);
  }
  return found;
}

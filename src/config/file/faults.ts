// What is wrong in a configuration: every fault at once, each where it stands, with what would be right.
import { TailraceError } from '../../core/errors.ts';

export type Fault = {
  /** The file as it was named, or `environment`. */
  readonly file: string;
  /** From 1; absent where there is no file. */
  readonly line?: number;
  readonly column?: number;
  /** `sinks[users].destination.queue_name`, or the variable. */
  readonly path: string;
  readonly message: string;
  readonly allowed?: readonly string[];
  /** The known name that looks most like the unknown one. */
  readonly nearest?: string;
};

/** Lists longer than this say nothing to a reader who has a typing error to find. */
const MAX_ALLOWED_SHOWN = 30;

/** `file:line:column  path  message`, in one line. */
export function formatFault(fault: Fault): string {
  const place = fault.line === undefined ? fault.file : `${fault.file}:${fault.line}:${fault.column ?? 1}`;
  const nearest = fault.nearest === undefined ? '' : `; did you mean "${fault.nearest}"?`;
  const { allowed } = fault;
  const known =
    allowed === undefined || allowed.length === 0 || allowed.length > MAX_ALLOWED_SHOWN
      ? ''
      : ` (allowed: ${allowed.join(', ')})`;
  return [place, fault.path, `${fault.message}${nearest}${known}`].filter((part) => part !== '').join('  ');
}

/** The configuration cannot be used. `message` holds all faults, one a line. */
export class ConfigError extends TailraceError {
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[]) {
    super(faults.map(formatFault).join('\n'), { code: 'CONFIG', kind: 'fatal' });
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

/** Drops repeats (an anchor used twice) and sorts by place. */
export function sortFaults(faults: readonly Fault[]): Fault[] {
  const placeOf = ({ file, line, column, path }: Fault): string => `${file}:${line ?? path}:${column}`;
  const byText = new Map(faults.map((fault) => [`${placeOf(fault)} ${fault.message}`, fault]));
  return [...byText.values()].sort(
    (a, b) =>
      a.file.localeCompare(b.file) ||
      (a.line ?? 0) - (b.line ?? 0) ||
      (a.column ?? 0) - (b.column ?? 0) ||
      a.path.localeCompare(b.path),
  );
}

/** Of so many faults at most the nearest name is looked for: behind them stands another file than was meant. */
export const MAX_ADVISED = 100;

/** The candidate at the smallest edit distance, when it is small enough to be a typing error. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = name.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    // No less than what one is longer: a key as long as a file costs nothing.
    if (Math.abs(candidate.length - wanted.length) >= bestDistance) continue;
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replace = last[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      let cost = Math.min(replace, last[column]! + 1, current[column - 1]! + 1);
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (row > 1 && column > 1 && swapped) cost = Math.min(cost, beforeLast[column - 2]! + 1);
      current.push(cost);
    }
    [beforeLast, last] = [last, current];
  }
  return last[b.length]!;
}

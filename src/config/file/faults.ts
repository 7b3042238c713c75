// What is wrong in a configuration: every fault at once, each where it stands, with what would be right.
import { TailraceError } from '../../core/errors.ts';
import { didYouMean } from '../../core/nearest-name.ts';

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
  const nearest = didYouMean(fault.nearest);
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

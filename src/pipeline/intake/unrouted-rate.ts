// How many dead letters a sink may make of rows that have no route or no group: a few are the rows', most of all are the configuration's.
import { TailraceError, type DeliveryError } from '../../core/errors.ts';

export const MAX_UNROUTED_LETTERS = 1000;
const WINDOW_MS = 60_000;
/** What they are of the messages that came with them. */
const MOST = 1 / 2;

/** Of one row. What does not fit the table as it is now halts the sink by itself, or is let go by `on_schema_break`. */
const CODES: ReadonlySet<string> = new Set([
  'ROUTE_VALUE_NULL',
  'ROUTE_VALUE_ABSENT',
  'ROUTE_VALUE_UNFIT',
  'ROUTE_NOT_ALLOWED',
  'GROUP_VALUE_ABSENT',
]);

export class UnroutedRate {
  /** When the last ones came, and as which of the messages, as rings. */
  readonly #times = new Float64Array(MAX_UNROUTED_LETTERS).fill(-Infinity);
  readonly #places = new Float64Array(MAX_UNROUTED_LETTERS);
  #next = 0;
  #messages = 0;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Counts a message that is let in. Is it one too many of those that have no route or group, and these are most of all? */
  isExceededBy(refusal: DeliveryError | undefined): boolean {
    this.#messages++;
    if (refusal === undefined || !CODES.has(refusal.code)) return false;
    const now = this.#nowMs();
    const next = this.#next;
    const isQuick = now - this.#times[next]! < WINDOW_MS;
    const isMost = MAX_UNROUTED_LETTERS > MOST * (this.#messages - this.#places[next]!);
    this.#times[next] = now;
    this.#places[next] = this.#messages;
    this.#next = (next + 1) % MAX_UNROUTED_LETTERS;
    return isQuick && isMost;
  }
}

/** It waits until somebody says that it goes on. `refusal`: of the last row, which says nothing of its values. */
export const tooManyUnrouted = ({ hint }: DeliveryError, sink: string): TailraceError =>
  new TailraceError(
    `more than ${MAX_UNROUTED_LETTERS} changes within a minute, most of all that came, have no route or no group, the last one: ${hint}`,
    {
      code: 'UNROUTED_TOO_OFTEN',
      kind: 'fatal',
      mend: 'resume',
      hint: `give the value a default, or leave such rows out by where: that takes effect at the next start, and \`tailrace dead-letters replay ${sink} --all\` sends what became a dead letter; \`tailrace resume ${sink}\` lets it go on as it is`,
    },
  );

// Errors with a code, a kind and a cure; and the outcome of delivering one message.
import { shortageOf } from './shortages.ts';

/** try again | dead letter | halt the sink */
export type ErrorKind = 'retryable' | 'rejected' | 'fatal';

/**
 * Whose failure it is: attempts are counted only for `message`. `group`: an earlier message of its group failed in the
 * same request, so this one was not tried; it waits for that one, as if the two had never shared the request. `batch`:
 * the request was refused whole for what may be one message's fault; the core halves it until the culprit is alone, and
 * the error is that message's.
 */
export type ErrorScope = 'message' | 'group' | 'batch' | 'route' | 'sink';

/**
 * What mends an error. `retry`: it passes by itself, or by trying again. `restart`: this process cannot go on, a new start
 * (with recovery) can, or somebody before it. `operator`: somebody has to change something; who met it may look again meanwhile.
 * `resume`: looking again would do harm; it waits until somebody says that it goes on.
 */
export type Mend = 'retry' | 'restart' | 'operator' | 'resume';

export type DeliveryError = {
  readonly kind: ErrorKind;
  readonly scope: ErrorScope;
  /** The field's own code where there is one (`AccessDenied`, `ECONNREFUSED`). */
  readonly code: string;
  /** What happened and what cures it, for the operator. Never row values or secrets. */
  readonly hint: string;
  readonly retryAfterMs?: number;
  /** The destination takes less than it is given: its route slows down as a whole. */
  readonly throttled?: true;
};

export type Outcome = 'delivered' | DeliveryError;

/** An error that an operator will read: `message` names the thing, `hint` the cure. */
export class TailraceError extends Error {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly hint: string | undefined;
  /** Policy asks this, never the code or the text. */
  readonly mend: Mend;

  /** `mend`, where the kind does not say it: what is retryable mends by `retry`, all else needs an `operator`. */
  constructor(
    message: string,
    details: { code: string; kind: ErrorKind; mend?: Mend; hint?: string | undefined; cause?: unknown },
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'TailraceError';
    this.code = details.code;
    this.kind = details.kind;
    this.hint = details.hint;
    this.mend = details.mend ?? (details.kind === 'retryable' ? 'retry' : 'operator');
  }
}

/** The error as one line: message, then the cure. */
export function describeError(error: unknown): string {
  if (error instanceof TailraceError) {
    return error.hint === undefined ? error.message : `${error.message} — ${error.hint}`;
  }
  if (error instanceof AggregateError && error.errors.length > 0) {
    return error.errors.map(describeError).join('; ');
  }
  if (!(error instanceof Error)) return String(error);
  const cure = shortageOf(error)?.cure;
  return cure === undefined ? error.message : `${error.message} — ${cure}`;
}

/** What is asked for cannot be done until somebody mends something. */
export const refused = (code: string, message: string, hint: string, cause?: unknown): TailraceError =>
  new TailraceError(message, { code, kind: 'fatal', hint, cause });

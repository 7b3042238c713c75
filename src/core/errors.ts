// Errors with a code, a kind and a cure; and the outcome of delivering one message.

/** try again | dead letter | halt the sink */
export type ErrorKind = 'retryable' | 'rejected' | 'fatal';

/**
 * Whose failure it is: attempts are counted only for `message`. `group`: an earlier message of its group failed in the
 * same request, so this one was not tried; it waits for that one, as if the two had never shared the request. `batch`:
 * the request was refused whole for what may be one message's fault; the core halves it until the culprit is alone, and
 * the error is that message's.
 */
export type ErrorScope = 'message' | 'group' | 'batch' | 'route' | 'sink';

export type DeliveryError = {
  readonly kind: ErrorKind;
  readonly scope: ErrorScope;
  /** The field's own code where there is one (`AccessDenied`, `ECONNREFUSED`). */
  readonly code: string;
  /** What happened and what cures it, for the operator. Never row values or secrets. */
  readonly hint: string;
  readonly retryAfterMs?: number;
};

export type Outcome = 'delivered' | DeliveryError;

/** An error that an operator will read: `message` names the thing, `hint` the cure. */
export class TailraceError extends Error {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly hint: string | undefined;

  constructor(
    message: string,
    details: { code: string; kind: ErrorKind; hint?: string | undefined; cause?: unknown },
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'TailraceError';
    this.code = details.code;
    this.kind = details.kind;
    this.hint = details.hint;
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
  return error instanceof Error ? error.message : String(error);
}

// How a request fails that gets no reply: the network's code, what this system lacks, or that what came back is no HTTP.
import { shortageBehind } from '../../core/descriptors.ts';
import type { DeliveryError } from '../../core/errors.ts';
import { shortageNamed } from '../../core/shortages.ts';

/** Nobody answered, or the answer cannot be read. `code`: of the network (ECONNREFUSED, …) or of TLS, or one of those below. */
export class NoReplyError extends Error {
  readonly code: string;

  constructor(details: { code: string; message: string; cause?: unknown }) {
    super(details.message, { cause: details.cause });
    this.name = 'NoReplyError';
    this.code = details.code;
  }
}

export const MALFORMED_REPLY = 'MALFORMED_REPLY';
export const REPLY_TOO_LONG = 'REPLY_TOO_LONG';

export function networkError(error: { readonly code?: string; readonly message: string }): NoReplyError {
  // Node tries every address of a name (happy eyeballs): the first one's code stands for all.
  const first = error instanceof AggregateError ? (error.errors[0] as Error & { code?: string }) : error;
  const code = shortageBehind(error)?.code ?? error.code ?? first.code ?? MALFORMED_REPLY;
  return new NoReplyError({ code, message: first.message, cause: error });
}

export const malformedReply = (what: string): NoReplyError =>
  new NoReplyError({ code: MALFORMED_REPLY, message: `the reply cannot be read: ${what}` });

export const replyTooLong = (): NoReplyError =>
  new NoReplyError({ code: REPLY_TOO_LONG, message: 'the reply is too long' });

/** What this system lacks is nobody's fault at the other end; undefined: the code names no shortage. */
export function shortageFailure(code: string): DeliveryError | undefined {
  const shortage = shortageNamed(code);
  if (shortage === undefined) return undefined;
  return { kind: 'retryable', scope: 'route', code, hint: `${shortage.what} — ${shortage.cure}` };
}

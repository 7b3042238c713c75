// How a request fails that gets no reply.
import { MALFORMED_REPLY, RequestError } from './aws-errors.ts';

/** Our own codes, next to those of Node: the endpoint was not reached in time, or did not answer in time. */
export const CONNECT_TIMEOUT = 'CONNECT_TIMEOUT';
export const REPLY_TIMEOUT = 'REPLY_TIMEOUT';

export function networkError(error: { readonly code?: string; readonly message: string }): RequestError {
  // Node tries every address of a name (happy eyeballs): the first one's code stands for all.
  const first = error instanceof AggregateError ? (error.errors[0] as Error & { code?: string }) : error;
  const code = error.code ?? first.code ?? MALFORMED_REPLY;
  return new RequestError({ code, message: first.message, cause: error });
}

export const malformedReply = (what: string): RequestError =>
  new RequestError({ code: MALFORMED_REPLY, message: `the reply cannot be read: ${what}` });

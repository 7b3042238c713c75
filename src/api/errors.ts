// Errors as HTTP answers: `{ error, code, hint }` and the status that fits.
import type { FastifyError, FastifyReply } from 'fastify';
import { TailraceError } from '../core/errors.ts';

export type Problem = { readonly error: string; readonly code?: string; readonly hint?: string };

export const problem = (message: string): Problem => ({ error: message });

/** Sequin's answer to it is 400, not 415. */
export const NOT_JSON = 'Content-Type: application/json is required, and a body that is JSON';

/** The request itself is wrong. */
export const invalidRequest = (message: string, hint: string): TailraceError =>
  new TailraceError(message, { code: 'REQUEST_INVALID', kind: 'rejected', hint });

const STATUS_OF: ReadonlyMap<string, number> = new Map([
  ['REQUEST_INVALID', 400],
  ['DATABASE_UNKNOWN', 404],
  ['GAP_UNKNOWN', 404],
  ['BACKFILL_UNKNOWN', 404],
  ['SINK_UNKNOWN', 404],
  ['ROW_UNKNOWN', 404],
  ['DEAD_LETTER_UNKNOWN', 404],
  ['SINK_AMBIGUOUS', 409],
  ['SINK_DISABLED', 409],
  ['SINK_TAKES_NO_READS', 409],
  ['BACKFILL_STATE', 409],
  ['GAP_GOES_ON', 409],
  ['GAP_IN_REPAIR', 409],
  ['NOTHING_TO_READ', 409],
  ['NO_ORPHANS', 409],
  ['NOTHING_TO_REWIND', 409],
  ['TABLE_NOT_READ', 409],
  ['TABLE_NOT_PUBLISHED', 409],
  ['TABLE_UNREADABLE', 409],
  ['KEY_UNUSABLE', 409],
  ['ROW_SECURITY', 409],
  ['REWIND_NOT_RETAINED', 409],
  ['REWIND_FORWARD', 409],
  ['DEAD_LETTER_WITHOUT_PAYLOAD', 409],
  ['DEAD_LETTER_OF_LOST_HISTORY', 409],
  ['TABLE_UNKNOWN', 422],
  ['COLUMN_UNKNOWN', 422],
  ['FILTER_REFUSED', 422],
  ['START_REFUSED', 422],
  ['KEY_MISSING', 422],
  ['KEY_REFUSED', 422],
  ['KEYS_ELSEWHERE', 422],
  ['KEYS_OF_PARTITIONS', 422],
  ['KEY_NOT_PUBLISHED', 422],
  ['WHERE_UNUSABLE', 422],
  ['TOO_MANY_ROWS', 422],
  ['DATABASE_NOT_REACHED', 503],
  ['TOO_MANY_REQUESTS', 503],
  ['SINK_NOT_READY', 503],
  ['SINK_WORKER_ENDED', 503],
  ['STOPPING', 503],
]);

/** Undefined: nobody foresaw it. */
export function answerError(error: unknown, reply: FastifyReply): FastifyReply | undefined {
  if (error instanceof TailraceError) {
    const status = STATUS_OF.get(error.code);
    if (status === undefined) return undefined;
    const { message, code, hint } = error;
    return reply.code(status).send({ error: message, code, ...(hint === undefined ? {} : { hint }) });
  }
  // Fastify's own refusals: a body that is no JSON, or too large, or of another type.
  const { statusCode, message } = error as Partial<FastifyError>;
  if (statusCode === undefined || statusCode >= 500) return undefined;
  if (statusCode === 415) return reply.code(400).send(problem(NOT_JSON));
  return reply.code(statusCode).send(problem(message ?? 'the request is wrong'));
}

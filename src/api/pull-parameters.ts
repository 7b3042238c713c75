// What a request to a pull stream says: query and body into typed values, or a fault that names the parameter. Pure.
import type { ReceiveRequest } from '../sinks/sink.ts';

/** As Sequin's. */
const MAX_BATCH_SIZE = 1000;
export const MAX_WAIT_MS = 5 * 60 * 1000;
const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** What the client did wrong, with the HTTP status that says so. */
export class RequestFault extends Error {
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.name = 'RequestFault';
    this.statusCode = statusCode;
  }
}

/** Parameters may stand in the query or in the body, which wins. Throws RequestFault. */
export function parseReceive(query: unknown, body: unknown): ReceiveRequest {
  const parameters = { ...objectOf(query), ...objectOf(body) };
  const batchSize = parameters['batch_size'] ?? parameters['max_batch_size'] ?? 1;
  const maxCount = wholeNumber(batchSize);
  if (maxCount === undefined || maxCount < 1 || maxCount > MAX_BATCH_SIZE) {
    throw new RequestFault(400, `Invalid batch_size: a whole number from 1 to ${MAX_BATCH_SIZE} is expected`);
  }
  const waitMs = durationMs(parameters['wait_for'] ?? 0);
  if (waitMs === undefined || waitMs < 0 || waitMs > MAX_WAIT_MS) {
    throw new RequestFault(
      400,
      `Invalid wait_for: milliseconds from 0 to ${MAX_WAIT_MS} are expected, or a duration like "60s", "5m" or "1000ms"`,
    );
  }
  return { maxCount, waitMs };
}

/** Throws RequestFault. */
export function parseAckIds(body: unknown): readonly string[] {
  const ids = objectOf(body)['ack_ids'];
  if (Array.isArray(ids) && ids.length > 0 && ids.every(isUuid)) {
    // Ids are written in lower case here.
    return ids.map((id) => id.toLowerCase());
  }
  throw new RequestFault(
    400,
    'Invalid ack_ids: a list of at least one ack_id (a UUID, as /receive gives it) is expected in the body',
  );
}

const isUuid = (value: unknown): value is string => typeof value === 'string' && UUID.test(value);

/** An absent body is an empty one; anything else than an object is a fault. */
function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new RequestFault(400, 'The body must be a JSON object');
  }
  return value as Readonly<Record<string, unknown>>;
}

/** A number, or its text. */
function wholeNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined;
  return typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

/** Milliseconds as a number or its text, or a text with a unit. */
function durationMs(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? Math.ceil(value) : undefined;
  const [, count, unit = 'ms'] = /^(\d{1,9})(ms|s|m)?$/.exec(typeof value === 'string' ? value : '') ?? [];
  return count === undefined ? undefined : Number(count) * MS_PER_UNIT[unit]!;
}

// The configuration of a pull stream: one schema, from which validation, JSON Schema and the docs table derive.
import { z } from 'zod';

/** As Sequin's. */
const DEFAULT_VISIBILITY_TIMEOUT_MS = 30_000;
const MIN_VISIBILITY_TIMEOUT_MS = 500;
/** Twelve hours, as SQS' longest. */
const MAX_VISIBILITY_TIMEOUT_MS = 12 * 60 * 60 * 1000;
/** As Sequin's default, and as many as a sink keeps in memory. */
const MAX_ACK_PENDING = 10_000;
const DEFAULT_MAX_WAITING = 20;
const MAX_WAITING = 1000;

export const streamConfigSchema = z.strictObject({
  type: z
    .literal(['sequin_stream', 'stream'])
    .describe('A stream that workers pull from over HTTP. `stream` is the same.'),
  visibility_timeout_ms: z
    .int()
    .min(MIN_VISIBILITY_TIMEOUT_MS)
    .max(MAX_VISIBILITY_TIMEOUT_MS)
    .default(DEFAULT_VISIBILITY_TIMEOUT_MS)
    .describe(
      'How long a message that was received stays invisible to other workers before it is given out again, in milliseconds.',
    ),
  max_ack_pending: z
    .int()
    .min(1)
    .max(MAX_ACK_PENDING)
    .default(MAX_ACK_PENDING)
    .describe('Messages that may be out, received and not acknowledged, at one time.'),
  max_waiting: z
    .int()
    .min(1)
    .max(MAX_WAITING)
    .default(DEFAULT_MAX_WAITING)
    .describe('Requests that may wait for messages at one time; one more is refused with 429.'),
});

export type StreamConfig = z.output<typeof streamConfigSchema>;

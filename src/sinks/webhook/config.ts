// The configuration of a webhook destination: one schema, from which validation, JSON Schema and the docs table derive.
import { z } from 'zod';
import { DURATION_PATTERN, parseDurationMs } from '../../core/duration.ts';
import {
  endpointFields,
  endpointReference,
  endpointUrl,
  TLS_NEEDS_HTTPS,
  tlsNeedsHttps,
} from '../http/endpoint.ts';
import { headerList, headerValue } from '../http/headers.ts';
import { laneFields } from '../http/lanes.ts';
import { resolved, routed } from '../routing/fields.ts';
import { MAX_SECRET_BYTES, MIN_SECRET_BYTES, secretBytes } from './signature.ts';

/** Sequin's. */
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_TIMEOUT_MS = 3_600_000;

/** What nginx takes unless it is told otherwise. https://nginx.org/en/docs/http/ngx_http_core_module.html#client_max_body_size */
const DEFAULT_BATCH_BYTES = 1024 * 1024;

/** Answers that speak of the endpoint, not of what was sent to it, unless `message_statuses` says otherwise. */
export const ENDPOINT_STATUSES = [401, 403, 404, 405, 407, 410, 421, 426] as const;

const duration = z
  .union([
    z.number().int().positive(),
    z.string().regex(DURATION_PATTERN, 'a duration looks like 500ms, 30s or 2m'),
  ])
  .transform((value) => (typeof value === 'number' ? value : parseDurationMs(value)!))
  .refine((ms) => ms >= 1 && ms <= MAX_TIMEOUT_MS, 'at most an hour is possible');

const signingSecret = z.string().superRefine((text, context) => {
  const bytes = secretBytes(text)?.length ?? 0;
  if (bytes >= MIN_SECRET_BYTES && bytes <= MAX_SECRET_BYTES) return;
  context.addIssue({
    code: 'custom',
    message: `a signing secret is whsec_ and the base64 of ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} random bytes: echo "whsec_$(openssl rand -base64 32)"`,
  });
});

const path = z
  .string()
  .max(2000, 'a path of at most 2000 characters is expected')
  .regex(/^([/?][A-Za-z0-9\-._~!$&'()*+,;=:@%?/]*)?$/, 'a path is expected that begins with / or ?');

/** Segments that a URL takes as a way up, or as nothing. https://url.spec.whatwg.org/#double-dot-path-segment */
const DOTS = /\/(?:\.|%2e){1,2}(?:[/?]|$)/i;

/** What path and headers may be once the row's values stand there. */
export const webhookRouting = z.object({
  http_endpoint_path: resolved(
    path.refine((text) => !DOTS.test(text), 'a segment of the path would be . or ..'),
    'segment',
  ),
  headers: headerValue,
});

export const webhookConfigSchema = z
  .strictObject({
    type: z.literal('webhook').describe('An HTTP endpoint.'),
    http_endpoint: endpointReference(),
    http_endpoint_path: routed(webhookRouting.shape.http_endpoint_path, path)
      .optional()
      .describe(
        'Appended to the URL. Values of the row may stand in it, each as one segment: `/tenants/${row.tenant}/orders`.',
      ),
    url: endpointUrl()
      .optional()
      .describe('URL of the endpoint. It is shown in status and logs, except for its query.'),
    ...endpointFields,
    headers: headerList({ takesTemplates: true }).meta({
      description:
        'Headers of each request, as a list of `key` and `value` or as a mapping. `content-encoding: gzip` compresses the body. Values of the row may stand in them: `x-tenant: ${row.tenant}`. Never shown.',
      secret: true,
    }),
    batch: z
      .boolean()
      .default(true)
      .describe(
        '`true`: the body is `{"data":[…]}` with up to `batch_size` messages (one, if the sink writes none). `false`: the body is the message itself.',
      ),
    max_batch_bytes: z
      .int()
      .min(1)
      .default(DEFAULT_BATCH_BYTES)
      .describe('Bytes of a request of several messages; a larger message goes alone.'),
    partial_acknowledgement: z
      .boolean()
      .default(false)
      .describe(
        'The endpoint says in the body of its answer which messages of a batch failed: `{"batchItemFailures":[{"itemIdentifier":"<idempotency key>"}]}`.',
      ),
    on_client_error: z
      .enum(['retry', 'reject'])
      .default('retry')
      .describe(
        'What an answer of 4xx to one message means: `retry` it, with growing waits, or `reject` it (a dead letter).',
      ),
    message_statuses: z
      .array(
        z.int().refine((status) => (ENDPOINT_STATUSES as readonly number[]).includes(status), {
          error: `one of ${ENDPOINT_STATUSES.join(', ')} is expected`,
        }),
      )
      .default([])
      .describe(
        `Of ${ENDPOINT_STATUSES.join(', ')}, which otherwise stop the route, those that speak of the message here.`,
      ),
    signing_secrets: z.array(signingSecret).max(5).default([]).meta({
      description:
        'Secrets (`whsec_…`) that sign each request as Standard Webhooks has it. Several while one replaces another.',
      secret: true,
    }),
    deny_private_addresses: z
      .boolean()
      .default(false)
      .describe('Connect to public addresses only, whatever the host name resolves to.'),
    ...laneFields('endpoint'),
    timeout: duration
      .default(DEFAULT_TIMEOUT_MS)
      .describe(
        'How long a request may take, from connecting to the last byte of the answer (`30s`). A number is in milliseconds.',
      ),
  })
  .refine(tlsNeedsHttps, TLS_NEEDS_HTTPS)
  .superRefine((config, context) => {
    const fault = (key: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [key], message });
    if (config.url === undefined && config.http_endpoint === undefined) {
      fault('url', 'no endpoint: write http_endpoint, or url');
    }
    if (config.http_endpoint !== undefined) {
      if (config.url !== undefined) fault('url', 'http_endpoint says this already: give one of the two');
      if (config.tls !== undefined) fault('tls', 'write this at the entry of http_endpoints');
    }
    if (config.partial_acknowledgement && !config.batch) {
      fault('partial_acknowledgement', 'a request of one message has no parts: this goes with batch: true');
    }
  });

/** A destination's configuration after parsing; `timeout` is in milliseconds. */
export type WebhookConfig = z.output<typeof webhookConfigSchema>;

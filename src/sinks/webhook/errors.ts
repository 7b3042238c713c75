// What the failures of a webhook mean: whose fault they are, and what cures them.
// Invariant 9: nothing that an endpoint writes into an answer is repeated, for it may repeat a row.
import type { DeliveryError } from '../../core/errors.ts';
import { httpDateMs } from '../http/date.ts';
import { PRIVATE_ADDRESS } from '../http/private-addresses.ts';
import { MALFORMED_REPLY, REPLY_TOO_LONG, shortageFailure, type NoReplyError } from '../http/errors.ts';
import type { HttpReply } from '../http/reply.ts';
import { ENDPOINT_STATUSES, type WebhookConfig } from './config.ts';
import { shownUrl } from './url.ts';

/** An endpoint may ask for patience, not for silence until next year. */
const MAX_RETRY_AFTER_MS = 3_600_000;
const MAX_QUOTED_CHARACTERS = 200;

/** By code; the first that fits. */
const TRANSPORT_CURES: readonly (readonly [RegExp, string])[] = [
  [
    /^ETIMEDOUT$/,
    'the endpoint may have taken it all the same and gets it again, with the same idempotency-key; answer sooner, or raise timeout',
  ],
  [/^(ENOTFOUND|EAI_AGAIN)$/, 'the host name does not resolve: correct the URL, or look at DNS'],
  [new RegExp(`^${PRIVATE_ADDRESS}$`), 'deny_private_addresses forbids it: correct the URL, or allow them'],
  [
    /^(EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|EACCES|EPERM)$/,
    'no connection can be opened from here: look at the network, its routes and firewalls',
  ],
  [/^ECONNREFUSED$/, 'nothing listens there: start the endpoint, or correct the URL'],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    'the certificate is for another host: correct the URL, or the certificate',
  ],
  [/^CERT_HAS_EXPIRED$/, 'renew the certificate of the endpoint'],
  [/^CERT_NOT_YET_VALID$/, 'synchronise this machine’s clock, if the certificate is right'],
  [
    /CERTIFICATE_REQUIRED|ALERT/,
    'the endpoint asks for a client certificate that it knows: tls.cert and tls.key',
  ],
  [/CERT|ISSUER|LEAF_SIGNATURE/, 'name the authority of its certificate in tls.ca'],
  [/^(EPROTO|ERR_SSL_)/, 'what listens there does not speak TLS as we do: is it an http URL?'],
  [new RegExp(`^${MALFORMED_REPLY}$`), 'what listens there does not speak HTTP: is it an https URL?'],
  [new RegExp(`^${REPLY_TOO_LONG}$`), 'the body of an answer may have 1 MiB'],
];
const LOST =
  'the connection was lost; the endpoint may have taken it, and gets it again with the same idempotency-key';

export function transportFailure({ code, message }: NoReplyError): DeliveryError {
  const shortage = shortageFailure(code);
  if (shortage !== undefined) return shortage;
  const cure = TRANSPORT_CURES.find(([pattern]) => pattern.test(code))?.[1] ?? LOST;
  const hint = `${message.slice(0, MAX_QUOTED_CHARACTERS)} — ${cure}`;
  return { kind: 'retryable', scope: 'route', code, hint };
}

const STATUS_CURES: Readonly<Record<number, string>> = {
  401: 'it does not know us: correct the Authorization header in encrypted_headers',
  403: 'it forbids this: correct the credentials in encrypted_headers, or what they may do',
  404: 'nothing takes requests at this path: correct the URL or http_endpoint_path',
  405: 'it takes no POST at this path: correct the URL or http_endpoint_path',
  407: 'a proxy in between wants credentials',
  408: 'it gave up waiting for the request',
  410: 'it wants no more of these: remove the sink, or correct the URL',
  413: 'the message is larger than it takes: list fewer columns, or raise its limit',
  415: 'it does not take this content-type or content-encoding: correct headers',
  429: 'it limits the rate, and is given less: raise its limit, or batch_size',
};

/** What of a reply tells how it went. */
type Answer = Pick<HttpReply, 'status' | 'header'>;

/** Undefined: the request was taken. Scope `batch`: one of the messages may be the culprit. */
export function statusFailure(
  { status, header }: Answer,
  config: Pick<WebhookConfig, 'on_client_error' | 'message_statuses'>,
  nowMs: number,
): DeliveryError | undefined {
  if (status >= 200 && status < 300) return undefined;
  const code = `HTTP_${status}`;
  if (status < 200 || (status >= 300 && status < 400)) {
    return { kind: 'retryable', scope: 'route', code, hint: redirectHint(header('location')) };
  }
  const retryAfterMs = retryAfter(header, nowMs);
  const cure =
    STATUS_CURES[status] ??
    (status >= 500 ? 'look into its log' : 'it refuses this message: look into its log');
  const failure = {
    code,
    hint: `the endpoint answers ${status} — ${cure}${waitHint(retryAfterMs)}`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(isThrottle(status, retryAfterMs) && { throttled: true as const }),
  };
  if (!concernsMessage(status, config.message_statuses))
    return { kind: 'retryable', scope: 'route', ...failure };
  const rejects = status === 413 || config.on_client_error === 'reject';
  return { kind: rejects ? 'rejected' : 'retryable', scope: 'batch', ...failure };
}

/** It says that it is too much, or when to come again. */
const isThrottle = (status: number, retryAfterMs: number | undefined): boolean =>
  status === 429 || (status === 503 && retryAfterMs !== undefined);

/** Architecture §6: an endpoint that is missing, denied, slow or broken is no message's fault. */
function concernsMessage(status: number, messageStatuses: readonly number[]): boolean {
  if (status >= 500 || status === 408 || status === 425 || status === 429) return false;
  return messageStatuses.includes(status) || !(ENDPOINT_STATUSES as readonly number[]).includes(status);
}

/** The core's own waits are seconds; this one may be an hour in which nothing is heard of the endpoint. */
function waitHint(retryAfterMs: number | undefined): string {
  if (retryAfterMs === undefined) return '';
  const limit = retryAfterMs === MAX_RETRY_AFTER_MS ? ', an hour at most' : '';
  return `; it is asked again after ${Math.ceil(retryAfterMs / 1000)} s (Retry-After${limit})`;
}

function redirectHint(location: string | undefined): string {
  const target = location !== undefined && URL.canParse(location) ? new URL(location) : undefined;
  const where = target === undefined ? '' : ` (to ${shownUrl(target).slice(0, MAX_QUOTED_CHARACTERS)})`;
  return `the endpoint redirects${where} — redirects are not followed: write the final URL`;
}

/**
 * Seconds, or an HTTP date by the endpoint's own clock. https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
 * Undefined where it asks for no wait, or for nothing that can be read: the core has its own.
 */
export function retryAfter(header: Answer['header'], nowMs: number): number | undefined {
  const text = header('retry-after')?.trim() ?? '';
  const untilMs = httpDateMs(text);
  // Some servers know parts of a second.
  const ms = /^\d+(?:\.\d+)?$/.test(text)
    ? Math.round(Number(text) * 1000)
    : untilMs !== undefined
      ? untilMs - (httpDateMs(header('date')) ?? nowMs)
      : 0;
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}

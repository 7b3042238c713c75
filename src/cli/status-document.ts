// The document that a running service shows of itself: asked for, told apart, and shown to a person.
import type { HealthDocument, PublicHealthDocument } from '../pipeline/service/health.ts';
import { isRecord, refusal, type ServiceClient } from './service-client.ts';

/** Whole to a token, or on loopback without tokens; words elsewhere. */
export type AnyDocument = HealthDocument | PublicHealthDocument;

/** Rejects with TailraceError where there is none to have. */
export async function readHealth(
  service: ServiceClient,
  limits: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<AnyDocument> {
  // 503 of a service that is halted comes with its document.
  const { status, body } = await service.fetch('/health', { method: 'GET', ...limits });
  if (status === 401 || !isHealth(body)) throw refusal(service.url, status, undefined);
  return body;
}

/** Why only words are shown. */
export const moreWithToken = (service: ServiceClient): string =>
  `${service.url.origin} shows more with a token: set TAILRACE_TOKEN`;

const isHealth = (value: unknown): value is AnyDocument =>
  isRecord(value) && 'status' in value && 'databases' in value && 'sinks' in value;

export const isWhole = (document: AnyDocument): document is HealthDocument => 'startedAt' in document;

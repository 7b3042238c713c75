// Who may see what over HTTP: tokens, and the rules that keep web pages elsewhere from driving a loopback API.
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';

export type AccessRules = {
  /** The listener is bound to a loopback address. */
  readonly loopback: boolean;
  readonly tokens: readonly string[];
};

export type RequestFacts = {
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly authorization: string | undefined;
  /** What the browser says of who asks. https://www.w3.org/TR/fetch-metadata/ */
  readonly fetchSite?: string | undefined;
};

/** `full`: may see everything. `public`: status words and numbers. The others are refusals. */
export type Access = 'full' | 'public' | 'unauthorized' | 'forbidden';

/**
 * Where tokens are configured one of them opens everything, from wherever the request comes: a reverse proxy speaks from
 * loopback. On loopback where there are none: everything, if the request was made for a loopback name and not by a page of
 * another origin (DNS rebinding, cross-site requests).
 */
export function decideAccess(rules: AccessRules, request: RequestFacts): Access {
  if (rules.tokens.length > 0) {
    if (request.authorization === undefined) return 'public';
    const token = bearerToken(request.authorization);
    const isKnown = token !== undefined && rules.tokens.some((known) => sameSecret(known, token));
    return isKnown ? 'full' : 'unauthorized';
  }
  if (!rules.loopback) return 'public';
  const { host, origin, fetchSite = 'none' } = request;
  // An image or a link elsewhere sends no Origin with its GET, which may take messages of a pull stream.
  if (fetchSite !== 'none' && fetchSite !== 'same-origin') return 'forbidden';
  if (host === undefined || !isLoopbackHost(hostnameOf(host))) return 'forbidden';
  return origin === undefined || origin === `http://${host}` ? 'full' : 'forbidden';
}

/**
 * Could a page elsewhere have sent it without asking first, as an image, a link or a form does? Not where `decideAccess` has
 * heard a browser say who asks. One that does not say (no `Sec-Fetch-Site`, no `Origin` with a GET) asks before it sends one of the
 * other headers, and no page can set that one.
 * https://fetch.spec.whatwg.org/#cors-safelisted-request-header
 */
export function mayBeCrossSite(request: {
  readonly contentType: string | undefined;
  readonly authorization: string | undefined;
  readonly fetchSite: string | undefined;
}): boolean {
  if (request.fetchSite !== undefined) return false;
  return !isJsonType(request.contentType) && bearerToken(request.authorization) === undefined;
}

export const isJsonType = (contentType: string | undefined): boolean =>
  /^application\/json *(;|$)/i.test(contentType ?? '');

/** Does the header carry these credentials? https://www.rfc-editor.org/rfc/rfc7617 */
export function isLoggedIn(
  login: { readonly username: string; readonly password: string },
  authorization: string | undefined,
): boolean {
  const encoded = /^Basic +([A-Za-z0-9+/=]+) *$/i.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return false;
  return sameSecret(Buffer.from(encoded, 'base64').toString('utf8'), `${login.username}:${login.password}`);
}

/** `127.0.0.1`, `localhost`, `::1` or `[::1]`, and their like. */
export function isLoopbackHost(name: string): boolean {
  const host = name.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  if (isIPv4(host)) return host.startsWith('127.');
  if (isIPv6(host)) return host === '::1' || host.startsWith('::ffff:127.');
  return host === 'localhost' || host.endsWith('.localhost');
}

/**
 * Whom a request is for, by its target where that is a whole URL, else by its Host; undefined where it does not say, or says it
 * twice: others on its way may have gone by the other one. https://www.rfc-editor.org/rfc/rfc9112#name-request-target
 */
export function hostOf(target: string, rawHeaders: readonly string[]): string | undefined {
  const isHost = (index: number): boolean => index % 2 === 1 && /^host$/i.test(rawHeaders[index - 1]!);
  const [host, ...others] = rawHeaders.filter((_, index) => isHost(index));
  if (others.length > 0) return undefined;
  return /^[a-z]+:\/\/([^/?#]*)/i.exec(target)?.[1] ?? host;
}

/** The Host header without its port. */
const hostnameOf = (host: string): string => host.replace(/:\d+$/, '');

function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
}

/** Compares in a time that does not depend on where the texts differ; the digests make their lengths equal. */
function sameSecret(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

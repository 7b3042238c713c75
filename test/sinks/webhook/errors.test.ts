import { expect, test } from 'vitest';
import { NoReplyError } from '../../../src/sinks/http/errors.ts';
import { retryAfter, statusFailure, transportFailure } from '../../../src/sinks/webhook/errors.ts';

const CONFIG: Parameters<typeof statusFailure>[1] = { on_client_error: 'retry', message_statuses: [] };

test('how long an endpoint asks to be left alone is named, for nothing is heard of it meanwhile', () => {
  const hint = (seconds: string): string =>
    statusFailure({ status: 429, header: (name) => ({ 'retry-after': seconds })[name] }, CONFIG, 0)!.hint;
  expect(hint('90')).toMatch(/; it is asked again after 90 s \(Retry-After\)$/);
  expect(hint('99999999999')).toMatch(/; it is asked again after 3600 s \(Retry-After, an hour at most\)$/);
  expect(hint('soon')).not.toContain('asked again');
});

test.each([
  ['ENETUNREACH', /no connection can be opened/],
  ['EADDRNOTAVAIL', /no connection can be opened/],
  ['ECONNREFUSED', /nothing listens there/],
  ['CERT_NOT_YET_VALID', /clock/],
  ['CERT_HAS_EXPIRED', /renew/],
  ['SELF_SIGNED_CERT_IN_CHAIN', /tls\.ca/],
  ['ECONNRESET', /may have taken it/],
])('%s is the trouble of the endpoint and names its cure', (code, hint) => {
  const failure = transportFailure(new NoReplyError({ code, message: 'as it says' }));
  expect(failure).toMatchObject({
    kind: 'retryable',
    scope: 'route',
    code,
    hint: expect.stringMatching(hint),
  });
});

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const HOUR_MS = 3_600_000;
const waitFor = (text: string, date?: string): number | undefined =>
  retryAfter((name) => (name === 'date' ? date : text), NOW_MS);

test.each([
  ['0'],
  ['-1'],
  ['-5'],
  ['+5'],
  ['1e309'],
  ['1e3'],
  ['0x10'],
  ['NaN'],
  ['Infinity'],
  ['5 s'],
  ['1, 60'],
  ['99999 GMT'],
  ['-2027'],
  ['Fri, 31 Feb 2026 25:00:00 GMT'],
  ['Thu, 01 Jan 1970 00:00:00 GMT'],
  [''],
])('Retry-After: %s asks for no wait', (text) => {
  expect(waitFor(text)).toBeUndefined();
  // Nor by a clock of its own that is wrong.
  expect(waitFor(text, 'the first of May')).toBeUndefined();
});

test.each([
  ['1', 1000],
  ['1.5', 1500],
  [' 7 ', 7000],
  ['9'.repeat(400), HOUR_MS],
  ['Fri, 02 Jan 2026 03:04:35 GMT', 30_000],
  ['Friday, 02-Jan-26 03:04:35 GMT', 30_000],
  ['Fri Jan  2 03:04:35 2026', 30_000],
  ['Fri, 31 Dec 9999 23:59:59 GMT', HOUR_MS],
])('Retry-After: %s asks for %i ms, an hour at most', (text, ms) => {
  expect(waitFor(text)).toBe(ms);
});

test('a date is read by the clock of the endpoint, where that is one', () => {
  const until = 'Fri, 02 Jan 2026 05:00:10 GMT';
  expect(waitFor(until, 'Fri, 02 Jan 2026 05:00:00 GMT')).toBe(10_000);
  expect(waitFor(until, '99999 GMT')).toBe(HOUR_MS);
  expect(waitFor(until, 'Fri, 31 Dec 9999 23:59:59 GMT')).toBeUndefined();
});

test('an endpoint that limits the rate, or says when to come again, is throttled; one that fails is not', () => {
  const failure = (status: number, headers: Record<string, string> = {}) =>
    statusFailure({ status, header: (name) => headers[name] }, CONFIG, 0);
  expect(failure(429)).toMatchObject({ scope: 'route', throttled: true });
  expect(failure(503, { 'retry-after': '3' })).toMatchObject({ throttled: true, retryAfterMs: 3000 });
  for (const status of [500, 502, 503, 504, 408]) expect(failure(status)).not.toHaveProperty('throttled');
});

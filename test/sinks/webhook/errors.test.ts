import { expect, test } from 'vitest';
import { statusFailure } from '../../../src/sinks/webhook/errors.ts';

const CONFIG: Parameters<typeof statusFailure>[1] = { on_client_error: 'retry', message_statuses: [] };

test('how long an endpoint asks to be left alone is named, for nothing is heard of it meanwhile', () => {
  const hint = (seconds: string): string =>
    statusFailure({ status: 429, header: (name) => ({ 'retry-after': seconds })[name] }, CONFIG, 0)!.hint;
  expect(hint('90')).toMatch(/; it is asked again after 90 s \(Retry-After\)$/);
  expect(hint('99999999999')).toMatch(/; it is asked again after 3600 s \(Retry-After, an hour at most\)$/);
  expect(hint('soon')).not.toContain('asked again');
});

test('an endpoint that limits the rate, or says when to come again, is throttled; one that fails is not', () => {
  const failure = (status: number, headers: Record<string, string> = {}) =>
    statusFailure({ status, header: (name) => headers[name] }, CONFIG, 0);
  expect(failure(429)).toMatchObject({ scope: 'route', throttled: true });
  expect(failure(503, { 'retry-after': '3' })).toMatchObject({ throttled: true, retryAfterMs: 3000 });
  for (const status of [500, 502, 503, 504, 408]) expect(failure(status)).not.toHaveProperty('throttled');
});

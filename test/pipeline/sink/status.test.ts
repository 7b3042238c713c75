// How a sink stands that rests: what ran last says how it went, without what held only then.
import { expect, test } from 'vitest';
import { restingStatus } from '../../../src/pipeline/sink/status.ts';
import { sinkStatus } from '../../support/status.ts';

test('a sink that rests has no trouble of the time when it ran', () => {
  const last = sinkStatus({
    health: 'degraded',
    reason: 'q: AccessDenied',
    cure: 'allow',
    routesInUse: 1003,
  });
  const status = restingStatus({
    last,
    state: 'paused',
    condition: { health: 'healthy', since: last.since },
    place: undefined,
    writtenEnd: 0,
    deadLetters: { kept: 0, replaying: 0, dropped: 0 },
    wallMs: 0,
  });
  expect(status).toMatchObject({ state: 'paused', health: 'healthy', delivered: last.delivered, routes: [] });
  for (const key of ['reason', 'cure', 'latency', 'routesInUse']) expect(status).not.toHaveProperty(key);
});

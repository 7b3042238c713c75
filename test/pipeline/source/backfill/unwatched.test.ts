import { expect, test } from 'vitest';
import type { LogSignals } from '../../../../src/log/signals.ts';
import { movedUnwatched } from '../../../../src/pipeline/source/backfill/unwatched.ts';

const log = { directory: '/nowhere', signals: { firstOffset: () => 100 } as LogSignals };
const table = { relationId: 1, key: ['id'], updatesAreTold: true };

test('of what the log does not have any more nobody can say what came, and of nothing it is known', async () => {
  expect(await movedUnwatched(log, table, { offset: 99, end: 200 })).toBeUndefined();
  expect(await movedUnwatched(log, table, { offset: 200, end: 200 })).toEqual([]);
});

import { expect, test } from 'vitest';
import { toLsn } from '../../../../src/core/lsn.ts';
import type { LogSignals } from '../../../../src/log/signals.ts';
import { movedUnwatched } from '../../../../src/pipeline/source/backfill/unwatched.ts';
import { append, begin, commit, openTestLog, scratchDirectory } from '../../../log/stream.ts';
import {
  deleteMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
} from '../../../support/pgoutput-messages.ts';

const log = { directory: '/nowhere', signals: { firstOffset: () => 100 } as LogSignals };
const table = { relationId: 1, key: ['id'], updatesAreTold: true, partings: [] };

test('of what the log does not have any more nobody can say what came, and of nothing it is known', async () => {
  expect(await movedUnwatched(log, table, { offset: 99, end: 200 })).toBeUndefined();
  expect(await movedUnwatched(log, table, { offset: 200, end: 200 })).toEqual([]);
});

test('a row that moved, and was deleted in a history that is lost, is there', async () => {
  const directory = scratchDirectory();
  const opened = await openTestLog(directory);
  const columns = ['id', 'big'].map((name) => ({ name, type: 25, identity: name === 'id' }));
  const first = { commitLsn: 100n, rows: 1 };
  const second = { commitLsn: 200n, rows: 1 };
  append(opened.log, [
    begin(first),
    relationMessage({ id: 1, schema: 'public', table: 't', identity: 'd', columns }),
    updateMessage(1, ['b', UNCHANGED], { kind: 'key', row: ['a', null] }),
    commit(first),
  ]);
  append(opened.log, [begin(second), deleteMessage(1, { kind: 'key', row: ['b', null] }), commit(second)]);
  const place = { directory, signals: opened.signals };
  const range = { offset: 0, end: opened.log.writtenEnd };
  const moved = (lsn: bigint) =>
    movedUnwatched(place, { ...table, partings: [{ epoch: 1, lsn: toLsn(lsn) }] }, range);
  expect(await movedUnwatched(place, table, range)).toEqual([]);
  expect(await moved(150n)).toEqual([['b']]);
  // Neither has happened.
  expect(await moved(50n)).toEqual([]);
});

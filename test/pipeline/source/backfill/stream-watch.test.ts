// What is told of a batch of the stream to those who watch a table.
import { expect, test } from 'vitest';
import { RANGE, type StreamBatch } from '../../../../src/postgres/replication/stream.ts';
import { parseSnapshot } from '../../../../src/postgres/backfill/snapshot.ts';
import { StreamedTransactions } from '../../../../src/pipeline/source/backfill/streamed-transactions.ts';
import { StreamWatch } from '../../../../src/pipeline/source/backfill/stream-watch.ts';
import { TableWatch } from '../../../../src/pipeline/source/backfill/table-watch.ts';
import { begin, commit } from '../../../log/stream.ts';
import {
  insertMessage,
  relationMessage,
  truncateMessage,
  UNCHANGED,
  updateMessage,
} from '../../../support/pgoutput-messages.ts';

const relationOf = (id: number): Buffer =>
  relationMessage({
    id,
    schema: 'public',
    table: `t${id}`,
    identity: 'd',
    columns: [
      { name: 'id', type: 25, identity: true },
      { name: 'v', type: 25 },
    ],
  });

/** `first`: the number of the message of which only a first piece came. */
function batchOf(messages: readonly Buffer[], first = -1): StreamBatch {
  const ends = messages.map((_, i) => Buffer.concat(messages.slice(0, i + 1)).length);
  return {
    bytes: Buffer.concat(messages),
    count: messages.length,
    starts: Int32Array.from(ends, (end, i) => end - messages[i]!.length),
    ends: Int32Array.from(ends),
    kinds: Uint8Array.from(messages, (_, i) => (i === first ? RANGE.first : RANGE.whole)),
    oversizeBytes: 0,
  };
}

function watched() {
  const streamed = new StreamedTransactions(parseSnapshot('1:1:'), 1n);
  const watch = new TableWatch(['id'], { updatesAreTold: true });
  const watching = new StreamWatch(streamed);
  return { streamed, watch, watching };
}
const T = { commitLsn: 104n, rows: 1 };

test('transactions are counted, and changes of the watched table alone are remembered', () => {
  const { streamed, watch, watching } = watched();
  watching.watch(1, watch, relationOf(1));
  watching.take(batchOf([begin(T), insertMessage(1, ['ä', 'x']), insertMessage(2, ['b', 'x']), commit(T)]));
  expect(streamed.count).toBe(1);
  expect(watch.fateOf('Ã¤', 0)).toBe('newer came');
  expect(watch.fateOf('b', 0)).toBe('let in');
  watching.unwatch(1, watch);
  watching.take(batchOf([insertMessage(1, ['c', 'x'])]));
  expect(watch.now).toBe(1);
});

test('a Relation message tells how the rows after it read', () => {
  const { watch, watching } = watched();
  watching.watch(1, watch, undefined);
  watching.take(
    batchOf([relationOf(1), updateMessage(1, ['ä', UNCHANGED], { kind: 'key', row: ['a', null] })]),
  );
  expect(watch.hasChangedAll(0)).toBe(false);
  expect(watch.fateOf('a', 0)).toBe('newer came');
  expect(watch.fateOf('Ã¤', 0)).toBe('part came');
  expect(watch.takeMovedInPart()).toEqual([['ä']]);
  expect(watch.takeMovedInPart()).toEqual([]);
});

test.each<[string, StreamBatch]>([
  ['a TRUNCATE of the table among others', batchOf([truncateMessage([2, 1])])],
  ['the first piece of a row that is too large', batchOf([insertMessage(1, ['a', 'x'])], 0)],
])('%s may be about any row', (_, batch) => {
  const { watch, watching } = watched();
  watching.watch(1, watch, relationOf(1));
  expect(watch.hasChangedAll(0)).toBe(false);
  watching.take(batch);
  expect(watch.hasChangedAll(0)).toBe(true);
});

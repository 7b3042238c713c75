// From rows in the log to messages: what is wanted, in which group, and rendered how. No server, no endpoint but a pretended one.
import { expect, test } from 'vitest';
import { tablePattern } from '../../../src/core/selection.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import { SinkMarkers } from '../../../src/pipeline/intake/markers.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { begin, commit } from '../../log/stream.ts';
import { describeTable, oversizeFrame, sinkIntake, type IntakeOptions } from '../../support/intake.ts';
import { routeTo } from '../../support/dispatcher.ts';
import { blocksOf } from '../../support/log-blocks.ts';
import { bodyOf, silent } from '../../support/messages.ts';
import {
  deleteMessage,
  insertMessage,
  logicalMessage,
  truncateMessage,
  UNCHANGED,
  updateMessage,
} from '../../support/pgoutput-messages.ts';

const T = { commitLsn: 100n, rows: 0 };
const insert = (id: string, table = 1): Buffer => insertMessage(table, [id, `note of ${id}`]);

/** One transaction on the tables t1 and t2, in one block. */
async function letIn(messages: readonly Buffer[], options: IntakeOptions = {}) {
  const tables = [...describeTable({ id: 1 }), ...describeTable({ id: 2 })];
  const harness = sinkIntake({ ...options, blocks: blocksOf([begin(T), ...tables, ...messages, commit(T)]) });
  await harness.walk();
  return harness;
}

const summary = ({ index, action, table, group }: Pending): string => `${index} ${action} ${table} ${group}`;
const recordsOf = (harness: { bodies(): Record<string, unknown>[] }): unknown[] =>
  harness.bodies().map(({ record }) => record);

test('wanted rows become messages in log order, each with its position, its group and its row', async () => {
  const h = await letIn([
    insert('a'),
    updateMessage(1, ['a', 'new']),
    insert('b', 2),
    deleteMessage(1, { kind: 'key', row: ['a', null] }),
  ]);
  expect(h.letIn().map(summary)).toEqual([
    '0 insert t1 public.t1:a',
    '1 update t1 public.t1:a',
    '2 insert t2 public.t2:b',
    '3 delete t1 public.t1:a',
  ]);
  expect(h.letIn().every(({ position }) => position.commitLsn === 100n)).toBe(true);
  expect(recordsOf(h)).toEqual([
    { id: 'a', note: 'note of a' },
    { id: 'a', note: 'new' },
    { id: 'b', note: 'note of b' },
    { id: 'a' },
  ]);
});

test('tables and actions that the sink does not want are passed over, and count all the same', async () => {
  const selection = { includeTables: [tablePattern({ schema: 'public', table: 't1' })] };
  const messages = [insert('a', 2), updateMessage(1, ['a', 'x']), truncateMessage([1, 2]), insert('b')];
  const h = await letIn(messages, { settings: { selection, actions: ['insert'] } });
  expect(h.letIn().map(summary)).toEqual(['4 insert t1 public.t1:b']);
});

test('of a wanted row it is asked whether it is done; one that is makes no message', async () => {
  const asked: number[] = [];
  const isDone: IntakeOptions['ports'] = {
    isDone: ({ commitLsn }, index) => {
      expect(commitLsn).toBe(100n);
      asked.push(index);
      return index === 1;
    },
  };
  const h = await letIn([insert('a'), insert('b'), deleteMessage(1, { kind: 'key', row: ['a', null] })], {
    ports: isDone,
    settings: { actions: ['insert'] },
  });
  expect(asked).toEqual([0, 1]);
  expect(h.letIn().map(({ index }) => index)).toEqual([0]);
});

test('after a marker that says so rows are skipped; those that the sink wants are counted, done or not', async () => {
  const markers = new SinkMarkers({ sink: 'test', heedsSkips: true, keep: () => undefined, logger: silent });
  const skip = logicalMessage('tailrace:skip', '');
  const messages = [
    insert('a'),
    skip,
    insert('b'),
    insert('c'),
    truncateMessage([1]),
    oversizeFrame('insert', 1, 9),
  ];
  const h = await letIn(messages, { ports: { markers, isDone: (_, index) => index === 1 } });
  expect(h.letIn().map(({ index }) => index)).toEqual([0]);
  expect(markers.status()).toMatchObject({ skippedTransactions: 1, skippedChanges: 3 });
});

test('rows before a relation changes have its old shape, rows after it the new one', async () => {
  const columns = ['id', 'note', 'more'].map((name) => ({ name, type: 25, identity: name === 'id' }));
  const h = await letIn([
    insert('a'),
    ...describeTable({ id: 1, name: 'renamed', columns }),
    insertMessage(1, ['b', 'n', 'm']),
    ...describeTable({ id: 1 }),
    insert('c'),
  ]);
  expect(h.letIn().map(summary)).toEqual([
    '0 insert t1 public.t1:a',
    '1 insert renamed public.renamed:b',
    '2 insert t1 public.t1:c',
  ]);
  expect(recordsOf(h)[1]).toEqual({ id: 'b', note: 'n', more: 'm' });
});

test('a row of a relation that the log has not described ends the sink', async () => {
  await expect(letIn([insert('a', 9)])).rejects.toThrow('relation 9');
});

test('an unchanged TOAST value comes from the old row, else it is absent and named', async () => {
  const h = await letIn([
    updateMessage(1, ['a', UNCHANGED]),
    ...describeTable({ id: 2, identity: 'f' }),
    updateMessage(2, ['a', UNCHANGED], { kind: 'full', row: ['a', 'old'] }),
  ]);
  expect(h.bodies().map(({ record, unchanged_columns: left }) => [record, left])).toEqual([
    [{ id: 'a' }, undefined],
    [{ id: 'a', note: 'old' }, undefined],
  ]);
  expect(h.bodies()[0]!['metadata']).toMatchObject({ unchanged_columns: ['note'] });
});

test('an update that changes its key waits in its old group and holds back the new one', async () => {
  const h = await letIn([
    insert('a'),
    updateMessage(1, ['b', 'x'], { kind: 'key', row: ['a', null] }),
    insert('b'),
  ]);
  expect(h.letIn().map(({ group, waitsOn }) => [group, waitsOn])).toEqual([
    ['public.t1:a', 0],
    ['public.t1:b', 1],
    ['public.t1:b', 1],
  ]);
  await h.drained();
  expect(h.endpoint.accepted.map(({ index }) => index)).toEqual([0, 1, 2]);
});

test('a replaced primary key is a barrier of the table: no row stands in two groups at once', async () => {
  const h = await letIn([
    insert('a'),
    insert('b'),
    ...describeTable({
      id: 1,
      key: ['note'],
      columns: [
        { name: 'id', type: 25 },
        { name: 'note', type: 25, identity: true },
      ],
    }),
    updateMessage(1, ['c', 'note of a']),
    updateMessage(1, ['d', 'note of b']),
    insert('x', 2),
  ]);
  expect(h.letIn().map(({ group, waitsOn }) => [group, waitsOn])).toEqual([
    ['public.t1:a', 0],
    ['public.t1:b', 0],
    ['public.t1:note of a', 1],
    ['public.t1:note of b', 1],
    ['public.t2:x', 0],
  ]);
  await h.drained();
  expect(h.endpoint.accepted.map(({ index }) => index).filter((index) => index < 4)).toEqual([0, 1, 2, 3]);
});

test('the halves of a split key change wait for what had another key as well', async () => {
  const split = { settings: { keyChanges: 'split' } } as const;
  const byNote = describeTable({
    id: 1,
    key: ['note'],
    columns: [
      { name: 'id', type: 25 },
      { name: 'note', type: 25, identity: true },
    ],
  });
  const h = await letIn(
    [insert('a'), ...byNote, updateMessage(1, ['a', 'new'], { kind: 'key', row: [null, 'note of a'] })],
    split,
  );
  expect(h.letIn().map(({ action, waitsOn }) => [action, waitsOn])).toEqual([
    ['insert', 0],
    ['delete', 1],
    ['insert', 1],
  ]);
});

test.each(['delete', 'insert'] as const)(
  'of a split key change whose %s was settled before the restart the other half alone comes, and knows of it',
  async (settledHalf) => {
    const h = await letIn([moved], {
      settings: { keyChanges: 'split' },
      ports: { isPartDone: (_, __, half) => half === settledHalf },
    });
    expect(h.letIn().map((message) => [message.action, message.settledParts])).toEqual([
      [settledHalf === 'delete' ? 'insert' : 'delete', [settledHalf]],
    ]);
  },
);

test('under FULL a table is one group until a transaction comes that wrote to it with the key of the catalog', async () => {
  const rows = (...ids: string[]): Buffer[] => ids.map((id) => insert(id));
  const [older, newer] = [
    { commitLsn: 100n, rows: 2 },
    { commitLsn: 200n, rows: 2 },
  ];
  const table = (keySince: number): Buffer[] => describeTable({ id: 1, identity: 'f', keySince });
  const groupsSince = async (keySince: number): Promise<unknown[]> => {
    const h = sinkIntake({
      blocks: blocksOf([
        begin(older),
        ...table(keySince),
        ...rows('a', 'b'),
        commit(older),
        begin(newer),
        ...rows('a', 'b'),
        commit(newer),
      ]),
    });
    await h.walk();
    return h.letIn().map(({ group, waitsOn }) => [group, waitsOn]);
  };
  const proven = [
    ['public.t1:a', 0],
    ['public.t1:b', 0],
    ['public.t1:a', 1],
    ['public.t1:b', 1],
  ];
  expect(await groupsSince(0)).toEqual(proven);
  expect(await groupsSince(99)).toEqual(proven);
  // Xids wrap: this one is older than 100.
  expect(await groupsSince(4_000_000_000)).toEqual(proven);
  // The transaction that changed the key may have written before it did.
  for (const keySince of [100, 199]) {
    expect(await groupsSince(keySince)).toEqual([
      ['public.t1', 0],
      ['public.t1', 1],
      ['public.t1:a', 1],
      ['public.t1:b', 1],
    ]);
  }
  expect(await groupsSince(200)).toEqual([
    ['public.t1', 0],
    ['public.t1', 1],
    ['public.t1', 1],
    ['public.t1', 1],
  ]);
});

test('an update that changes columns of its group, but not the group, does not wait for itself', async () => {
  const update = updateMessage(1, ['a', 'bc'], { kind: 'full', row: ['ab', 'c'] });
  const groupTemplate = '${id}${note}';
  const sink = { routeOf: () => ({ ...routeTo('q', { messageBytes: 1000 }), groupTemplate }) };
  const h = await letIn([...describeTable({ id: 1, identity: 'f' }), update], { sink });
  expect(h.letIn().map(({ group, waitsOn }) => [group, waitsOn])).toEqual([['abc', 0]]);
  await h.drained();
  expect(h.endpoint.accepted).toHaveLength(1);
});

const moved = updateMessage(1, ['b', UNCHANGED], { kind: 'key', row: ['a', null] });

test('with key_changes: split it is a delete in the old group and an insert in the new one, settled with the second', async () => {
  const h = await letIn([moved], { settings: { keyChanges: 'split' } });
  expect(h.letIn().map(summary)).toEqual(['0 delete t1 public.t1:a', '0 insert t1 public.t1:b']);
  expect(h.bodies().map(({ action, key_change: change }) => [action, change])).toEqual([
    ['delete', undefined],
    ['insert', undefined],
  ]);
  expect(h.bodies().map(({ metadata }) => metadata)).toMatchObject([
    { key_change: { old: { id: 'a' }, new: { id: 'b' } } },
    { key_change: { old: { id: 'a' }, new: { id: 'b' } } },
  ]);
  const [first, second] = h.letIn();
  expect(first!.idempotencyKey).not.toBe(second!.idempotencyKey);
  expect(first!.split).toBe(second!.split);
});

test.each<{ actions: SinkSettings['actions']; expected: string[] }>([
  { actions: ['insert', 'update'], expected: ['0 insert t1 public.t1:b', '1 update t1 public.t1:c'] },
  { actions: ['delete'], expected: ['0 delete t1 public.t1:a'] },
  { actions: ['update'], expected: ['1 update t1 public.t1:c'] },
])('of the halves only what the sink wants is sent: $actions', async ({ actions, expected }) => {
  const stayed = updateMessage(1, ['c', 'x'], { kind: 'full', row: ['c', 'old'] });
  const h = await letIn([moved, stayed], { settings: { keyChanges: 'split', actions } });
  expect(h.letIn().map(summary)).toEqual(expected);
});

test('a TRUNCATE is one message for each wanted table, behind the rows before it and before those after it', async () => {
  const h = await letIn([insert('a'), insert('b', 2), truncateMessage([1, 2]), insert('c')], {
    settings: { actions: ['insert', 'truncate'] },
  });
  expect(h.letIn().map(summary)).toEqual([
    '0 insert t1 public.t1:a',
    '1 insert t2 public.t2:b',
    '2 truncate t1 public.t1',
    '3 truncate t2 public.t2',
    '4 insert t1 public.t1:c',
  ]);
  expect(h.letIn().map(({ waitsOn }) => waitsOn)).toEqual([0, 0, 1, 1, 1]);
  await h.drained();
  expect(h.endpoint.accepted.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
});

test('a row too large to be kept whole stands alone, and becomes a dead letter with its size (C220)', async () => {
  const h = await letIn([insert('a'), oversizeFrame('update', 1, 90_000_000), insert('b')]);
  expect(h.letIn().map(summary)[1]).toBe('1 update t1 public.t1');
  await h.drained();
  expect(h.endpoint.accepted.map(({ index }) => index)).toEqual([0, 2]);
  expect(h.dead.map(({ message, code }) => [message.index, message.rawBytes, code])).toEqual([
    [1, 90_000_000, 'MESSAGE_TOO_LARGE'],
  ]);
});

test('where a changed key is an insert, an update too large to be known may be one', async () => {
  const settings = { actions: ['insert'] } as const;
  const oversize = oversizeFrame('update', 1, 90_000_000);
  expect((await letIn([oversize], { settings })).letIn()).toEqual([]);
  const split = await letIn([oversize], { settings: { ...settings, keyChanges: 'split' } });
  expect(split.letIn().map(summary)).toEqual(['0 update t1 public.t1']);
});

test('what was parked is rendered again from the log, byte for byte, also one half of a changed key', async () => {
  const messages = Array.from({ length: 60 }, (_, i) => [
    updateMessage(1, ['hot', `note ${i}`]),
    updateMessage(1, ['hot', 'x'], { kind: 'key', row: ['hot2', null] }),
  ]).flat();
  const options = { settings: { keyChanges: 'split' } } as const;
  const h = await letIn(messages, options);
  const parked = h.letIn().filter(({ isParked }) => isParked);
  expect(parked.length).toBeGreaterThan(50);
  // The same without groups: nothing is parked there.
  const free = await letIn(messages, { settings: { ...options.settings, messageGrouping: false } });
  const whole = free.letIn().map((message) => bodyOf(message));
  await h.drained();
  const order = (bodies: readonly string[]): string[] => bodies.toSorted((a, b) => a.localeCompare(b));
  expect(order(h.endpoint.accepted.map(({ body }) => body))).toEqual(order(whole));
});

test('messages that stay for long have bytes of their own', async () => {
  const h = await letIn([insert('a'), insert('b')], { ports: { staysLong: true } });
  const [a, b] = h.letIn();
  expect(a!.buffer).not.toBe(b!.buffer);
  expect(a!.buffer.length).toBe(a!.byteLength);
});

const kindsOf = (harness: { bodies(): Record<string, unknown>[] }): unknown[] =>
  harness.bodies().map(({ kind }) => kind);

test('in format pg2sqs a message says its kind where several of the sink’s actions come out', async () => {
  const messages = [insert('a'), updateMessage(1, ['a', 'x']), truncateMessage([1])];
  const kinds = async (actions: SinkSettings['actions'], sink: IntakeOptions['sink'] = {}) =>
    kindsOf(await letIn(messages, { settings: { format: 'pg2sqs', formatOptions: {}, actions }, sink }));
  expect(await kinds(['insert', 'update'])).toEqual(['insert', 'update']);
  expect(await kinds(['insert'])).toEqual([undefined]);
  expect(await kinds(['insert', 'truncate'])).toEqual(['insert', 'truncate']);
  // The sink knows better: each action has a queue of its own, or its consumers are always told.
  const apart: IntakeOptions['sink'] = { actionsAt: ({ action }) => [action] };
  expect(await kinds(['insert', 'update'], apart)).toEqual([undefined, undefined]);
  const together = { actionsAt: () => ['insert', 'update', 'delete'] as const };
  expect(await kinds(['insert'], together)).toEqual(['insert']);
});

test('in format pg2sqs a column called kind is refused for the kinds of what the table takes alone', async () => {
  const columns = ['id', 'kind'].map((name) => ({ name, type: 25, identity: name === 'id' }));
  const messages = [...describeTable({ id: 1, columns }), insertMessage(1, ['1', 'x'])];
  // Inserts have a queue of their own.
  const sink: IntakeOptions['sink'] = {
    actionsAt: ({ action }) =>
      action === 'update' || action === 'delete' ? ['update', 'delete'] : ['insert'],
  };
  const bodies = async (actions: SinkSettings['actions']) => {
    const pattern = tablePattern({ schema: 'public', table: 't1' });
    const settings = { format: 'pg2sqs', formatOptions: {}, tables: [{ pattern, actions }] } as const;
    return (await letIn(messages, { settings, sink })).bodies();
  };
  expect(await bodies(['insert'])).toEqual([{ id: '1', kind: 'x' }]);
  await expect(bodies(['insert', 'update'])).rejects.toMatchObject({ code: 'COLUMN_CLASH' });
});

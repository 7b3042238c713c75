// What tells of a changed schema, on its way through one sink: before its row, a barrier of the table, settled by itself.
import { copyFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import type { Message } from '../../../src/core/message.ts';
import type { TableShape } from '../../../src/core/schema-change.ts';
import { encodeEnrichment } from '../../../src/pgoutput/enrichment.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { SinkRunner } from '../../../src/pipeline/sink/runner.ts';
import { oversizeFrame } from '../../support/intake.ts';
import { REFUSED, REJECTED, type EndpointOptions } from '../../support/dispatcher.ts';
import { SINK } from '../../support/letters.ts';
import { bodyOf } from '../../support/messages.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  truncateMessage,
  updateMessage,
} from '../../support/pgoutput-messages.ts';
import { openSinkRoom, TABLE, TestSink, type SinkRoom } from '../../support/sink-room.ts';
import { waitFor } from '../../support/wait.ts';

const TEXT = 25;

/** `schema a`: a column of this name was added; else as `insert 1`. */
const said = (body: string): string => {
  const { action, record, schema } = JSON.parse(body) as {
    action: string;
    record: { id: number };
    schema?: { changes: { change: string; column: string }[] };
  };
  return `${action} ${schema === undefined ? record.id : schema.changes.map(({ column }) => column).join()}`;
};
const sayingOf = (message: Message): string => said(bodyOf(message));

const shape = (columns: readonly string[]): TableShape => ({
  relationId: TABLE,
  schema: 'public',
  table: 't',
  columns: columns.map((name) => ({ name, type: TEXT, typeModifier: -1, typeName: 'text' })),
  key: ['id'],
});

/** The table has one column more from row event `index` of the transaction at `commit` on. */
const altered = (commit: number, index: number, names: readonly string[] = ['id', 'v', 'more']): Buffer[] => [
  relationMessage({
    id: TABLE,
    schema: 'public',
    table: 't',
    identity: 'd',
    columns: names.map((name) => ({ name, type: TEXT, identity: name === 'id' })),
  }),
  encodeEnrichment({
    relationId: TABLE,
    key: ['id'],
    types: new Map(),
    schemaChange: {
      before: shape(names.slice(0, -1)),
      after: shape(names),
      at: { commitLsn: toLsn(BigInt(commit)), index },
    },
  }),
];

const row = (...values: readonly string[]): Buffer => insertMessage(TABLE, values);

async function start(room: SinkRoom, answer: NonNullable<EndpointOptions['answer']> = () => 'delivered') {
  const sink = new TestSink({ answer });
  const runner = await SinkRunner.create(room.options, () => Promise.resolve(sink));
  runner.run().catch(() => undefined);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= runner.stop(0));
  onTestFinished(stop);
  return { runner, stop, accepted: () => sink.endpoint.accepted.map(({ body }) => said(body)) };
}

const open = (settings: Partial<SinkSettings> = {}) => openSinkRoom({ ddl: 'events', ...settings });
const isSettled = (room: SinkRoom) => (): boolean =>
  room.signals.settled(room.options.slot).offset === room.signals.writtenEnd();

/** Of a run that ends once it has taken so many; 0: once everything is settled. */
async function acceptedOf(room: SinkRoom, count: number): Promise<string[]> {
  const { accepted, stop } = await start(room);
  const isDone = count === 0 ? isSettled(room) : () => accepted().length >= count;
  await waitFor(isDone, 'everything to be taken');
  await stop();
  return accepted();
}

/** The ledger as it is now is what the next process finds. */
function ledgerNow({ options }: SinkRoom): () => void {
  const copy = `${options.ledgerFile}.copy`;
  copyFileSync(options.ledgerFile, copy);
  return () => copyFileSync(copy, options.ledgerFile);
}

test('it comes once, before its row and after all rows before that, whatever their keys', async () => {
  const room = await open();
  room.append(100, [
    row('1', 'a'),
    row('2', 'b'),
    ...altered(100, 2),
    row('3', 'c', 'd'),
    row('4', 'e', 'f'),
  ]);
  let refusals = 0;
  const { accepted } = await start(room, (message) =>
    sayingOf(message) === 'insert 2' && refusals++ < 5 ? REFUSED : 'delivered',
  );
  await waitFor(isSettled(room), 'everything to be settled');
  expect(accepted().slice(0, 3)).toEqual(['insert 1', 'insert 2', 'schema more']);
  expect(accepted().slice(3).toSorted()).toEqual(['insert 3', 'insert 4']);
});

test('who does not ask is told nothing', async () => {
  const room = await open({ ddl: 'ignore' });
  room.append(100, [row('1', 'a'), ...altered(100, 1), row('3', 'c', 'd')]);
  expect(await acceptedOf(room, 2)).toEqual(['insert 1', 'insert 3']);
});

test.each<{ what: string; rows: Buffer[]; settings?: Partial<SinkSettings>; expected: string[] }>([
  {
    what: 'a row that the sink does not want',
    rows: [deleteMessage(TABLE, { kind: 'key', row: ['1', null, null] })],
    settings: { actions: ['insert'] },
    expected: ['schema more'],
  },
  {
    what: 'a TRUNCATE',
    rows: [truncateMessage([TABLE])],
    settings: { actions: ['insert', 'truncate'] },
    expected: ['schema more', 'truncate undefined'],
  },
  {
    what: 'a TRUNCATE that the sink does not want',
    rows: [truncateMessage([TABLE])],
    expected: ['schema more'],
  },
  {
    what: 'a row too large to be kept',
    rows: [oversizeFrame('insert', TABLE, 1 << 30)],
    expected: ['schema more'],
  },
  {
    what: 'an update that changes the key, sent as two messages',
    rows: [updateMessage(TABLE, ['2', 'b', 'c'], { kind: 'key', row: ['1', null, null] })],
    settings: { keyChanges: 'split' },
    expected: ['schema more', 'delete 1', 'insert 2'],
  },
])('the first row may be $what', async ({ rows, settings, expected }) => {
  const room = await open(settings);
  room.append(100, [row('1', 'a'), ...altered(100, 1), ...rows]);
  expect(await acceptedOf(room, 1 + expected.length)).toEqual(['insert 1', ...expected]);
  // All of it is settled: nothing comes again.
  expect(await acceptedOf(room, 0)).toEqual([]);
});

test.each(['update', 'split'] as const)(
  'a kill between it and its row (key_changes: %s) leaves it told: only what was refused comes again',
  async (keyChanges) => {
    const room = await open({ keyChanges });
    const moved = updateMessage(TABLE, ['2', 'b', 'c'], { kind: 'key', row: ['1', null, null] });
    room.append(100, [row('1', 'a'), ...altered(100, 1), moved]);
    const isMoved = (saying: string): boolean => saying === 'update 2' || saying === 'insert 2';
    const before =
      keyChanges === 'split' ? ['insert 1', 'schema more', 'delete 1'] : ['insert 1', 'schema more'];
    for (let kill = 0; kill < 3; kill++) {
      let refusals = 0;
      const run = await start(room, (message) => {
        if (!isMoved(sayingOf(message))) return 'delivered';
        refusals++;
        return REFUSED;
      });
      await waitFor(() => refusals > 1, 'the refusals');
      expect(run.accepted()).toEqual(kill === 0 ? before : []);
      const restore = ledgerNow(room);
      await run.stop();
      restore();
    }
    expect(await acceptedOf(room, 1)).toEqual([keyChanges === 'split' ? 'insert 2' : 'update 2']);
  },
);

test('a kill before it was taken loses nothing: it comes, and then its row', async () => {
  const room = await open();
  room.append(100, [row('1', 'a'), ...altered(100, 1), row('2', 'b', 'c')]);
  let refusals = 0;
  const first = await start(room, (message) => {
    if (sayingOf(message) !== 'schema more') return 'delivered';
    refusals++;
    return REFUSED;
  });
  await waitFor(() => refusals > 1, 'the refusals');
  expect(first.accepted()).toEqual(['insert 1']);
  await first.stop();
  expect(await acceptedOf(room, 2)).toEqual(['schema more', 'insert 2']);
});

test('a Relation that is logged again, as after a reconnect, tells nothing anew; one with another row to come does', async () => {
  const room = await open();
  room.append(100, [row('1', 'a'), ...altered(100, 1), row('2', 'b', 'c')]);
  room.append(200, [...altered(100, 1), row('3', 'b', 'c')]);
  room.append(300, [
    ...altered(300, 0, ['id', 'v', 'more', 'last']),
    row('4', 'b', 'c', 'd'),
    row('5', 'b', 'c', 'd'),
  ]);
  const accepted = await acceptedOf(room, 7);
  expect(accepted.slice(0, 5)).toEqual(['insert 1', 'schema more', 'insert 2', 'insert 3', 'schema last']);
  expect(accepted.slice(5).toSorted()).toEqual(['insert 4', 'insert 5']);
});

test('one that is refused for good is a dead letter of its own, its row goes on, and it can be sent again', async () => {
  const room = await open();
  const { deadLetters } = room.options.store;
  room.append(100, [row('1', 'a'), ...altered(100, 1), row('2', 'b', 'c')]);
  const first = await start(room, (message) =>
    sayingOf(message) === 'schema more' ? REJECTED : 'delivered',
  );
  await waitFor(isSettled(room), 'everything to be settled');
  expect(first.accepted()).toEqual(['insert 1', 'insert 2']);
  const letters = deadLetters.list(SINK, {}, { limit: 10 });
  expect(letters.map(({ action, table }) => [action, table])).toEqual([['schema', 't']]);
  expect(letters[0]!.idempotencyKey).toMatch(/-1-s$/);
  await first.stop();
  deadLetters.replay(SINK, {});
  const second = await start(room);
  await waitFor(() => second.accepted().length > 0, 'the letter');
  expect(second.accepted()).toEqual(['schema more']);
});

test('its key is its own, and the same each time', async () => {
  const keys: string[] = [];
  for (let run = 0; run < 2; run++) {
    const room = await open();
    room.append(100, [row('1', 'a'), ...altered(100, 1), row('2', 'b', 'c')]);
    const { stop } = await start(room, (message) => {
      keys.push(message.idempotencyKey);
      return 'delivered';
    });
    await waitFor(() => keys.length === 3 * (run + 1), 'three messages');
    await stop();
  }
  const [own] = keys;
  const transaction = own!.slice(0, -'-0'.length);
  const expected = ['-0', '-1-s', '-1'].map((place) => `${transaction}${place}`);
  expect(keys).toEqual([...expected, ...expected]);
});

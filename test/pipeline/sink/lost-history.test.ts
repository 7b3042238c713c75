// A sink that takes its place behind a parting: what it had settled of the lost history is listed, the rest is counted and never sent.
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { formatLsn, toLsn } from '../../../src/core/lsn.ts';
import type { TableShape } from '../../../src/core/schema-change.ts';
import { NO_RULES } from '../../../src/functions/columns/rules.ts';
import { loadFilterParser } from '../../../src/functions/where/parser.ts';
import type { LogSignals } from '../../../src/log/signals.ts';
import type { LogWriter } from '../../../src/log/writer.ts';
import { encodeEnrichment } from '../../../src/pgoutput/enrichment.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import type { PlaceOptions, SinkPlace } from '../../../src/pipeline/sink/place.ts';
import { sinkDefinition } from '../../../src/sinks/registry.ts';
import { MAX_LISTED_ORPHANS } from '../../../src/store/partings.ts';
import { append, begin, commit, openTestLog, scratchDirectory } from '../../log/stream.ts';
import { openLedger } from '../../support/ledger.ts';
import { letterAt, SINK } from '../../support/letters.ts';
import {
  deleteMessage,
  insertMessage,
  logicalMessage,
  relationMessage,
  updateMessage,
} from '../../support/pgoutput-messages.ts';
import { lookAtPlace, PLACE_SETTINGS, placeOptions } from '../../support/sink-place.ts';

const INT4 = 23;
const columns = [{ name: 'id', type: INT4, identity: true }];
const tables = [
  [1, 'users'],
  [2, 'others'],
] as const;
const relations = tables.flatMap(([id, table]) => [
  relationMessage({ id, schema: 'public', table, identity: 'd', columns }),
  encodeEnrichment({ relationId: id, key: ['id'], types: new Map() }),
]);

let options: PlaceOptions;
let log: LogWriter;
let signals: LogSignals;

beforeEach(async () => {
  const directory = scratchDirectory();
  const logDirectory = join(directory, 'log');
  ({ log, signals } = await openTestLog(logDirectory));
  options = placeOptions({
    settings: {
      ...PLACE_SETTINGS,
      selection: { includeTables: [{ schema: ['public'], table: ['users'] }] },
      tables: [],
      actions: ['insert'],
    } as unknown as SinkSettings,
    logDirectory,
    signals,
    ledgerFile: join(directory, 'users.ledger'),
  });
  append(log, relations);
});

/** Transactions of a row of each table: ids are the commit LSN and its half. */
function write(commits: readonly bigint[], epoch = 0): void {
  for (const commitLsn of commits) {
    const transaction = { commitLsn, rows: 2 };
    const rows = tables.map(([id]) => insertMessage(id, [String(commitLsn)]));
    append(log, [begin(transaction), ...rows, commit(transaction)], { epoch, timeline: epoch + 1 });
  }
}

const place = (): Promise<SinkPlace> => lookAtPlace(options);

/** Everything before one transaction is settled, and these above it. */
function settle(before: bigint, above: readonly bigint[] = [], epoch = 0): void {
  const ledger = openLedger(options.ledgerFile, SINK);
  ledger.advance({
    position: { epoch, commitLsn: toLsn(before), index: 0 },
    endLsn: toLsn(before - 84n),
    timeline: epoch + 1,
  });
  ledger.settle(
    above.map((commitLsn) => ({ transaction: { epoch, commitLsn: toLsn(commitLsn) }, index: 0 })),
  );
  ledger.close();
}

const part = (lsn: bigint, epoch: number): Promise<void> =>
  log.part({ lsn: toLsn(lsn), flushed: toLsn(0n), history: { epoch, timeline: epoch + 1 } });
const counted = () =>
  options.store.partings.ofSink(SINK).map(({ epoch, discarded, orphaned }) => [epoch, discarded, orphaned]);
const orphans = () => options.store.partings.orphans(SINK.database, { after: 0, limit: 100 });

test('orphans and discards are told apart by a ledger with holes on both sides of the parting', async () => {
  write([100n, 200n, 300n, 400n, 500n]);
  await place();
  // 200 holds the cursor back; 300 and 500 are settled.
  settle(200n, [300n, 500n]);
  await part(250n, 1);
  write([260n], 1);
  const { partings, start } = await place();
  expect(partings).toEqual([{ epoch: 1, lsn: 250n }]);
  expect(start).toMatchObject({ position: { commitLsn: 200n }, endLsn: 116n });
  expect(counted()).toEqual([[1, 1, 2]]);
  expect(orphans()).toMatchObject([
    {
      sink: SINK.sink,
      schema: 'public',
      table: 'users',
      action: 'insert',
      key: 'public.users:300',
      commitLsn: '0/12C',
      index: 0,
    },
    { key: 'public.users:500' },
  ]);
  // Taken again, it is the same.
  await place();
  expect([counted(), orphans().length]).toEqual([[[1, 1, 2]], 2]);
});

test.each([
  ['and heeds them', true, false],
  ['and heeded them once', false, true],
  ['and does not heed them', false, false],
])(
  'what markers make a sink skip is neither delivered nor discarded: it passes over them %s',
  async (_, heeds, isKept) => {
    for (const commitLsn of [200n, 300n]) {
      const transaction = { commitLsn, rows: 2 };
      const skips = [logicalMessage('tailrace:skip', ''), logicalMessage('tailrace:skip', 'somebody')];
      const rows = ['1', '2'].map((id) => insertMessage(1, [id]));
      append(log, [begin(transaction), skips[1]!, rows[0]!, skips[0]!, rows[1]!, commit(transaction)]);
    }
    options = { ...options, heedsSkips: heeds };
    await place();
    settle(300n);
    if (isKept)
      options.store.skipped.add(
        SINK,
        [200, 300].map((lsn) => ({
          epoch: 0,
          commitLsn: formatLsn(toLsn(BigInt(lsn))),
          xid: 1,
          changes: 1,
          committedAt: '2026-01-01',
        })),
      );
    await part(150n, 1);
    await place();
    const each = heeds || isKept ? 1 : 2;
    expect(counted()).toEqual([[1, each, each]]);
  },
);

test('a sink that had settled all says nothing of the new history but up to the parting', async () => {
  write([100n, 200n, 300n]);
  await place();
  settle(400n);
  await part(150n, 1);
  const { start } = await place();
  expect(start.endLsn).toBe(150n);
  expect(counted()).toEqual([[1, 0, 2]]);
  expect(signals.settled(0).lsn).toBe(0n);
});

test('several partings one after the other each count what they have lost, and none counts it twice', async () => {
  write([100n, 200n, 300n]);
  await place();
  settle(200n, [300n]);
  await part(150n, 1);
  write([160n, 260n], 1);
  await place();
  settle(160n, [260n], 1);
  // Below the first: 100 is lost now, too, and what came behind the first.
  await part(90n, 2);
  write([95n], 2);
  await place();
  expect(counted()).toEqual([
    [1, 1, 1],
    [2, 1, 2],
  ]);
  expect(orphans().map(({ key }) => key)).toEqual([
    'public.users:300',
    'public.users:100',
    'public.users:260',
  ]);
});

test('a sink that is new has lost nothing', async () => {
  write([100n, 200n]);
  await part(150n, 1);
  await place();
  expect(counted()).toEqual([[1, 0, 0]]);
});

test('a dead letter of the lost history is neither delivered nor given up', async () => {
  write([100n, 200n, 300n]);
  await place();
  settle(100n, [200n]);
  options.store.deadLetters.add(letterAt(200), new Date());
  await part(150n, 1);
  await place();
  expect(counted()).toEqual([[1, 1, 0]]);
});

test('only the first orphans are listed, and all are counted', async () => {
  const many = Array.from({ length: MAX_LISTED_ORPHANS + 5 }, (_, i) => 1000n + BigInt(i) * 100n);
  write([100n, ...many]);
  await place();
  settle(many.at(-1)! + 100n);
  await part(150n, 1);
  await place();
  expect(counted()).toEqual([[1, 0, many.length]]);
  expect(options.store.partings.orphans(SINK.database, { after: 0, limit: 5000 })).toHaveLength(
    MAX_LISTED_ORPHANS,
  );
});

/** As the table looked before, or looks since the row event at this place. */
const shape = (names: readonly string[]): TableShape => ({
  relationId: 1,
  schema: 'public',
  table: 'users',
  columns: names.map((name) => ({ name, type: INT4, typeModifier: -1 })),
});

/** Of each transaction the second row of `users` has one column more, of which a sink is told that asks for it. */
function writeAltered(commits: readonly bigint[]): void {
  for (const commitLsn of commits) {
    const names = ['id', `c${commitLsn}`];
    const altered = [
      relationMessage({
        id: 1,
        schema: 'public',
        table: 'users',
        identity: 'd',
        columns: names.map((name) => ({ name, type: INT4, identity: name === 'id' })),
      }),
      encodeEnrichment({
        relationId: 1,
        key: ['id'],
        types: new Map(),
        schemaChange: {
          before: shape(['id']),
          after: shape(names),
          at: { commitLsn: toLsn(commitLsn), index: 1 },
        },
      }),
    ];
    const rows = [insertMessage(1, [String(commitLsn)]), ...altered, insertMessage(1, ['7', '8'])];
    append(log, [begin({ commitLsn, rows: 2 }), ...rows, commit({ commitLsn, rows: 2 })]);
  }
}

test('what tells of a schema is counted by itself: delivered with its row, without it, and not at all', async () => {
  options = { ...options, settings: { ...options.settings, ddl: 'events' } };
  writeAltered([200n, 300n, 400n]);
  await place();
  settle(300n);
  // At 300 the sink was told of the schema, and its row waited.
  const ledger = openLedger(options.ledgerFile, SINK);
  const settled = { transaction: { epoch: 0, commitLsn: toLsn(300n) } };
  ledger.settle([{ ...settled, index: 0 }]);
  ledger.settleParts('schema', [{ ...settled, index: 1 }]);
  ledger.close();
  await part(150n, 1);
  await place();
  expect(orphans().map(({ action, commitLsn, index, key }) => [action, commitLsn, index, key])).toEqual([
    ['insert', '0/C8', 0, 'public.users:200'],
    ['schema', '0/C8', 1, undefined],
    ['insert', '0/C8', 1, 'public.users:7'],
    ['insert', '0/12C', 0, 'public.users:300'],
    ['schema', '0/12C', 1, undefined],
  ]);
  // A row at 300, and all three at 400.
  expect(counted()).toEqual([[1, 4, 5]]);
});

test('a sink that asks for no schema has none in what is lost', async () => {
  writeAltered([200n]);
  await place();
  settle(300n);
  await part(150n, 1);
  await place();
  expect(orphans().map(({ action }) => action)).toEqual(['insert', 'insert']);
});

test('a dead letter of what told of a schema says nothing of its row, nor one of the row of that', async () => {
  options = { ...options, settings: { ...options.settings, ddl: 'events' } };
  writeAltered([200n, 300n]);
  await place();
  settle(400n);
  for (const [commitLsn, action] of [
    [200, 'schema'],
    [300, 'insert'],
  ] as const) {
    const position = { epoch: 0, commitLsn: toLsn(BigInt(commitLsn)), index: 1 };
    options.store.deadLetters.add(letterAt(commitLsn, { position, action }), new Date());
  }
  await part(150n, 1);
  await place();
  expect(orphans().map(({ action, commitLsn, index }) => [action, commitLsn, index])).toEqual([
    ['insert', '0/C8', 0],
    ['insert', '0/C8', 1],
    ['insert', '0/12C', 0],
    ['schema', '0/12C', 1],
  ]);
});

const ALL = ['insert', 'update', 'delete'] as const;
const kept = () => orphans().map(({ action, commitLsn, index }) => [action, commitLsn, index]);

/** The sink has a filter, and is told of schemas. */
async function filtered(text: string, settings: Partial<SinkSettings> = {}): Promise<void> {
  const parse = await loadFilterParser();
  const where = { ...parse(text), place: 'tailrace.yaml:5:5  sinks[users].where' };
  const policies = { onAbsent: 'dead_letter', deletesOutside: 'deliver', ddl: 'events' } as const;
  options = { ...options, settings: { ...options.settings, ...policies, where, ...settings } };
}

test('what a filter kept from the sink was neither delivered nor is it discarded, and it may ask for annotations', async () => {
  await filtered(`id > 250 or meta.annotations ->> 'by' = 'alice'`);
  write([200n, 300n]);
  const annotation = logicalMessage('tailrace:transaction_annotations.set', '{"by":"alice"}');
  const cleared = logicalMessage('tailrace:transaction_annotations.clear', '');
  const rows = ['1', '2', '3'].map((id) => insertMessage(1, [id]));
  const transaction = { commitLsn: 400n, rows: 3 };
  append(log, [begin(transaction), rows[0]!, annotation, rows[1]!, cleared, rows[2]!, commit(transaction)]);
  write([500n]);
  await place();
  settle(500n);
  await part(150n, 1);
  await place();
  expect(kept()).toEqual([
    ['insert', '0/12C', 0],
    ['insert', '0/190', 1],
  ]);
  expect(counted()).toEqual([[1, 1, 2]]);
});

test.each([
  ['deliver', [['delete', '0/C8', 0]]],
  ['drop', []],
] as const)(
  'a delete that a filter cannot judge counts by its policy: %s',
  async (deletesOutside, expected) => {
    await filtered('size > 10', { deletesOutside, actions: ['delete'] });
    const sized = relationMessage({
      id: 1,
      schema: 'public',
      table: 'users',
      identity: 'd',
      columns: [...columns, { name: 'size', type: INT4 }],
    });
    const transaction = { commitLsn: 200n, rows: 1 };
    const gone = deleteMessage(1, { kind: 'key', row: ['1', null] });
    append(log, [sized, encodeEnrichment({ relationId: 1, key: ['id'], types: new Map() })]);
    append(log, [begin(transaction), gone, commit(transaction)]);
    await place();
    settle(300n);
    await part(150n, 1);
    await place();
    expect(kept()).toEqual(expected);
  },
);

test.each([
  ['ignore', []],
  ['convert', [['update', '0/C8', 0]]],
] as const)(
  'an update that takes its row out of a filter counts as what was sent of it: where_moves: %s',
  async (whereMoves, expected) => {
    await filtered('size > 10', { whereMoves, actions: ['insert', 'update', 'delete'] });
    const sized = relationMessage({
      id: 1,
      schema: 'public',
      table: 'users',
      identity: 'f',
      columns: [...columns, { name: 'size', type: INT4, identity: true }],
    });
    const transaction = { commitLsn: 200n, rows: 1 };
    const left = updateMessage(1, ['1', '5'], { kind: 'full', row: ['1', '20'] });
    append(log, [sized, encodeEnrichment({ relationId: 1, key: ['id'], types: new Map() })]);
    append(log, [begin(transaction), left, commit(transaction)]);
    await place();
    settle(300n);
    await part(150n, 1);
    await place();
    expect(kept()).toEqual(expected);
  },
);

test.each([
  ['ignore', [['update', '0/C8', 2]]],
  [
    'convert',
    [
      ['update', '0/C8', 1],
      ['update', '0/C8', 2],
    ],
  ],
] as const)(
  'an update that leaves the watched columns as they were was not sent, but where it moved its row: where_moves: %s',
  async (whereMoves, expected) => {
    const rules = {
      place: 'here',
      ...NO_RULES,
      onlyWhenChanged: { columns: ['price'], whenUnknown: 'refuse' },
    } as const;
    const tables = [{ pattern: USERS, rules }];
    await filtered('size > 10', { whereMoves, tables, actions: ['insert', 'update', 'delete'] });
    await sentUpdates([
      [
        ['1', '20', '9'],
        ['1', '30', '9'],
      ],
      [
        ['1', '5', '9'],
        ['1', '20', '9'],
      ],
      [
        ['1', '20', '9'],
        ['1', '20', '8'],
      ],
    ]);
    // The first stays inside without another price; the second enters.
    expect(kept()).toEqual(expected);
  },
);

test.each([
  ['ignore', [['update', '0/C8', 2]]],
  [
    'convert',
    [
      ['update', '0/C8', 0],
      ['update', '0/C8', 2],
    ],
  ],
] as const)('and but where it moved to another route: route_moves: %s', async (routeMoves, expected) => {
  const rules = {
    place: 'here',
    ...NO_RULES,
    onlyWhenChanged: { columns: ['price'], whenUnknown: 'refuse' },
  } as const;
  const { config } = sinkDefinition('sqs')!;
  const destination = { type: 'sqs', config: config.parse({ type: 'sqs', queue_name: 'q-${row.size}' }) };
  const settings = { routeMoves, destination, tables: [{ pattern: USERS, rules }], actions: [...ALL] };
  options = { ...options, settings: { ...options.settings, ...settings } };
  await sentUpdates([
    [
      ['1', '20', '9'],
      ['1', '30', '9'],
    ],
    [
      ['1', '30', '9'],
      ['1', '30', '9'],
    ],
    [
      ['1', '30', '9'],
      ['1', '30', '8'],
    ],
  ]);
  expect(kept()).toEqual(expected);
});

test('keys of orphans are masked as they are in messages, and hidden where there is no key for them', async () => {
  const mask = new Map([['id', { kind: 'redact' }]] as const);
  const tables = [{ pattern: USERS, rules: { place: 'here', ...NO_RULES, mask } }];
  options = { ...options, settings: { ...options.settings, tables } };
  write([200n, 300n]);
  await place();
  settle(300n);
  await part(150n, 1);
  await place();
  expect(orphans()).toMatchObject([{ key: 'public.users:***' }]);
});

const USERS = { schema: ['public'], table: ['users'] };

/** Updates of one transaction, from row to row: id, size, price. All settled, and then lost. */
async function sentUpdates(
  updates: readonly (readonly [readonly string[], readonly string[]])[],
): Promise<void> {
  const names = ['size', 'price'].map((name) => ({ name, type: INT4, identity: true }));
  const wide = {
    id: 1,
    schema: 'public',
    table: 'users',
    identity: 'f',
    columns: [...columns, ...names],
  } as const;
  const transaction = { commitLsn: 200n, rows: updates.length };
  const rows = updates.map(([old, row]) => updateMessage(1, row, { kind: 'full', row: old }));
  append(log, [relationMessage(wide), encodeEnrichment({ relationId: 1, key: ['id'], types: new Map() })]);
  append(log, [begin(transaction), ...rows, commit(transaction)]);
  await place();
  settle(300n);
  await part(150n, 1);
  await place();
}

test('a filter on a column that the table did not have then keeps nothing out, nor does it what tells of a schema', async () => {
  await filtered('c300 > 100');
  writeAltered([200n, 300n]);
  await place();
  settle(400n);
  await part(150n, 1);
  await place();
  expect(kept()).toEqual([
    ['insert', '0/C8', 0],
    ['schema', '0/C8', 1],
    ['insert', '0/C8', 1],
    ['insert', '0/12C', 0],
    ['schema', '0/12C', 1],
  ]);
});

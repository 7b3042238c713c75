// What a sink makes of a Relation that says that rows looked otherwise before: whom it tells, what, and what it waits for.
import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import type { ShapeColumn, TableShape } from '../../../src/core/schema-change.ts';
import { encodeEnrichment } from '../../../src/pgoutput/enrichment.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import type { RowBatch } from '../../../src/pipeline/intake/steps.ts';
import { begin, commit } from '../../log/stream.ts';
import { describeTable, sinkIntake, type IntakeOptions } from '../../support/intake.ts';
import { blocksOf } from '../../support/log-blocks.ts';
import { bodyOf } from '../../support/messages.ts';
import {
  insertMessage,
  logicalMessage,
  relationMessage,
  truncateMessage,
} from '../../support/pgoutput-messages.ts';

const TEXT = 25;
const T = { commitLsn: 100n, rows: 0 };

const column = (name: string): ShapeColumn => ({ name, type: TEXT, typeModifier: -1, typeName: 'text' });
const shape = (table: string, columns: readonly string[]): TableShape => ({
  relationId: 1,
  schema: 'public',
  table,
  columns: columns.map(column),
  key: ['id'],
});

/** From row event `index` on the relation has this name and these columns. */
function altered(options: {
  readonly id?: number;
  readonly index: number;
  readonly name?: string;
  readonly before?: TableShape;
  readonly columns?: readonly string[];
  readonly partitionOf?: string;
}): Buffer[] {
  const { id = 1, index, name = 't1', columns = ['id', 'note', 'more'], partitionOf } = options;
  const { before = shape(name, ['id', 'note']) } = options;
  return [
    relationMessage({
      id,
      schema: 'public',
      table: name,
      identity: 'd',
      columns: columns.map((each) => ({ name: each, type: TEXT, identity: each === 'id' })),
    }),
    encodeEnrichment({
      relationId: id,
      key: ['id'],
      types: new Map(),
      ...(partitionOf && {
        ancestors: [{ oid: 9, schema: 'public', table: partitionOf, published: true }],
      }),
      schemaChange: { before, after: shape(name, columns), at: { commitLsn: toLsn(100n), index } },
    }),
  ];
}

const row = (id: string, count = 3, table = 1): Buffer =>
  insertMessage(
    table,
    Array.from({ length: count }, (_, i) => (i === 0 ? id : 'x')),
  );

async function letIn(messages: readonly Buffer[], options: IntakeOptions = {}) {
  const blocks = blocksOf([begin(T), ...messages, commit(T)]);
  const settings = { ddl: 'events', ...options.settings } as const;
  const harness = sinkIntake({ ...options, settings, blocks });
  await harness.walk();
  return harness;
}

const summary = ({ action, table, index, waitsOn }: Pending): string =>
  `${index} ${action} ${table}${waitsOn > 0 ? ` waits on ${waitsOn}` : ''}`;
const summaries = (harness: { letIn(): Pending[] }): string[] => harness.letIn().map(summary);

/** What is let in first, as its sink gets it. */
const firstOf = (harness: { letIn(): Pending[] }): Record<string, unknown> =>
  JSON.parse(bodyOf(harness.letIn()[0]!)) as Record<string, unknown>;

test('it waits for all rows before it, and all rows behind it for it', async () => {
  const h = await letIn([
    ...describeTable({ id: 1 }),
    row('a', 2),
    row('b', 2),
    ...altered({ index: 2 }),
    row('c'),
    row('d'),
  ]);
  expect(summaries(h)).toEqual([
    '0 insert t1',
    '1 insert t1',
    '2 schema t1 waits on 1',
    '2 insert t1 waits on 1',
    '3 insert t1 waits on 1',
  ]);
  await h.drained();
  expect(h.settled.map(({ action }) => action).indexOf('schema')).toBe(2);
});

test('a table that was renamed is told under its new name, behind all rows that it had under the old one', async () => {
  const renamed = altered({
    index: 1,
    name: 'u',
    before: shape('t1', ['id', 'note']),
    columns: ['id', 'note'],
  });
  const messages = [...describeTable({ id: 1 }), row('a', 2), ...renamed, row('b', 2)];
  expect(summaries(await letIn(messages))).toEqual([
    '0 insert t1',
    '1 schema u waits on 1',
    '1 insert u waits on 1',
  ]);
  // Who reads the old name alone is told that it is no more.
  const selection = (table: string) => ({
    selection: { includeTables: [{ schema: ['public'], table: [table] }] },
  });
  const old = await letIn(messages, { settings: selection('t1') });
  expect(summaries(old)).toEqual(['0 insert t1', '1 schema t1 waits on 1']);
  expect(summaries(await letIn(messages, { settings: selection('u') }))).toEqual([
    '1 schema u',
    '1 insert u waits on 1',
  ]);
  expect(summaries(await letIn(messages, { settings: selection('v') }))).toEqual([]);
});

test('of a partition it names the partition, and its columns are those of the table that it is read under', async () => {
  const leaf = altered({ index: 0, name: 'leaf', partitionOf: 'root' });
  const h = await letIn([...leaf, row('a')]);
  expect(firstOf(h)).toMatchObject({
    action: 'schema',
    schema: {
      changes: [{ change: 'column_added', column: 'more' }],
      after: { table_schema: 'public', table_name: 'root' },
    },
    metadata: { table_name: 'root', partition: { table_schema: 'public', table_name: 'leaf' } },
  });
  // That the partition was renamed says nothing of the table.
  const before = shape('old_leaf', ['id', 'note', 'more']);
  const renamed = altered({ index: 0, name: 'leaf', partitionOf: 'root', before });
  expect(summaries(await letIn([...renamed, row('a')]))).toEqual(['0 insert root']);
});

test('of columns that its messages do not have a sink is told nothing', async () => {
  const messages = [...altered({ index: 0 }), row('a')];
  const only = (...columns: string[]): IntakeOptions => ({
    settings: { tables: [{ pattern: { schema: ['public'], table: ['t1'] }, columns }] },
  });
  expect(summaries(await letIn(messages, only('note')))).toEqual(['0 insert t1']);
  const h = await letIn(messages, only('more'));
  expect(firstOf(h)['schema']).toMatchObject({
    before: { columns: [{ name: 'id' }] },
    after: { columns: [{ name: 'id' }, { name: 'more' }] },
  });
});

test('each table of one TRUNCATE is told by itself', async () => {
  const h = await letIn(
    [...altered({ index: 0 }), ...altered({ id: 2, name: 't2', index: 1 }), truncateMessage([1, 2])],
    { settings: { actions: ['truncate'] } },
  );
  expect(summaries(h)).toEqual([
    '0 schema t1',
    '0 truncate t1 waits on 1',
    '1 schema t2',
    '1 truncate t2 waits on 1',
  ]);
});

test('a marker that has the sink skip rows says nothing of schemas', async () => {
  const h = await letIn([logicalMessage('tailrace:skip', ''), ...altered({ index: 0 }), row('a'), row('b')]);
  expect(summaries(h)).toEqual(['0 schema t1']);
});

test.each([0, 1])('a step sees the rows alone, and drops what it drops of them (%i)', async (turns) => {
  const seen: number[] = [];
  const where = (rows: RowBatch): void | Promise<void> => {
    for (const each of rows) {
      seen.push(each.index);
      if (each.index === 0) rows.drop(each, 'where');
    }
    if (turns > 0) return Promise.resolve();
  };
  const h = await letIn([...altered({ index: 0 }), row('a'), row('b')], { ports: { steps: { where } } });
  expect(seen).toEqual([0, 1]);
  expect(summaries(h)).toEqual(['0 schema t1', '1 insert t1 waits on 1']);
  await h.drained();
  expect(h.settled.map(({ settlesChange }) => settlesChange)).toEqual([true, true]);
});

test('it is rendered as the sink wants its bytes, in every format, with a key of its own', async () => {
  const messages = [...altered({ index: 0 }), row('a')];
  for (const format of ['sequin', 'tailrace', 'pg2sqs'] as const) {
    const settings = { format, formatOptions: {} };
    const plain = (await letIn(messages, { settings })).letIn()[0]!;
    const escaped = (await letIn(messages, { settings, sink: { encoding: 'json-string' } })).letIn()[0]!;
    const body = bodyOf(plain);
    expect(JSON.parse(`"${bodyOf(escaped)}"`)).toBe(body);
    expect(JSON.parse(body)).toMatchObject({
      [format === 'pg2sqs' ? 'kind' : 'action']: 'schema',
      schema: { changes: [{ change: 'column_added', column: 'more' }] },
    });
    expect(plain.idempotencyKey).toMatch(/-0-s$/);
  }
});

test('what waits for consumers has bytes of its own, and what was parked is rendered again', async () => {
  const h = await letIn([...altered({ index: 0 }), row('a')], { ports: { staysLong: true } });
  const [told] = h.letIn();
  expect(told!.buffer.length).toBe(told!.byteLength);
  const before = bodyOf(told!);
  h.unsettled.room.park(told!);
  h.intake.renderParked(told!);
  expect(bodyOf(told!)).toBe(before);
});

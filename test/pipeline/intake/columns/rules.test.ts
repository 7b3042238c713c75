// What the rules of a table make of its rows: names and masks in every part of a message and beside it, and where rules do not fit.
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { tablePattern } from '../../../../src/core/selection.ts';
import { toLsn } from '../../../../src/core/lsn.ts';
import type { MessageFormat } from '../../../../src/formats/format.ts';
import { formatNames } from '../../../../src/formats/names.ts';
import { formats } from '../../../../src/formats/registry.ts';
import { NO_RULES, type MaskRule } from '../../../../src/functions/columns/rules.ts';
import { encodeEnrichment } from '../../../../src/pgoutput/enrichment.ts';
import type { Pending } from '../../../../src/pipeline/delivery/pending.ts';
import type { SinkSettings, TableOptions } from '../../../../src/pipeline/settings.ts';
import { begin, commit } from '../../../log/stream.ts';
import { loadText } from '../../../config/load-config.ts';
import { describeTable, sinkIntake, type IntakeOptions } from '../../../support/intake.ts';
import { blocksOf } from '../../../support/log-blocks.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
} from '../../../support/pgoutput-messages.ts';
import { readsOf } from '../../../support/reads.ts';

const TEXT = 25;
const T = { commitLsn: 100n, rows: 0 };
const KEY = '0123456789abcdef';
const digest = (value: string): string => createHmac('sha256', KEY).update(value).digest('hex');

const PLACE = 'tailrace.yaml:8:9  sinks[users].tables[public.t1]';
type Rules = Partial<Omit<NonNullable<TableOptions['rules']>, 'place'>>;

const tableWith = (rules: Rules, options: Partial<TableOptions> = {}): Partial<SinkSettings> => ({
  maskKey: KEY,
  tables: [
    {
      pattern: tablePattern({ schema: 'public', table: 't1' }),
      rules: { place: PLACE, ...NO_RULES, ...rules },
      ...options,
    },
  ],
});

const masks = (rules: Readonly<Record<string, MaskRule>>): Rules => ({
  mask: new Map(Object.entries(rules)),
});

const table = (identity: 'd' | 'f' = 'd'): Buffer[] =>
  describeTable({
    id: 1,
    identity,
    columns: ['id', 'email', 'note'].map((name) => ({
      name,
      type: TEXT,
      identity: identity === 'f' || name === 'id',
    })),
  });

async function letIn(
  settings: Partial<SinkSettings>,
  messages: readonly Buffer[],
  options: Omit<IntakeOptions, 'settings' | 'blocks'> = {},
) {
  const harness = sinkIntake({
    ...options,
    settings,
    blocks: blocksOf([begin(T), ...messages, commit(T)]),
  });
  await harness.walk();
  return harness;
}

type Body = {
  readonly record: unknown;
  readonly changes: unknown;
  readonly metadata: Readonly<Record<string, unknown>>;
};
const bodiesOf = (harness: { bodies(): Record<string, unknown>[] }): Body[] =>
  harness.bodies() as unknown as Body[];
const groupsOf = (harness: { letIn(): Pending[] }): string[] => harness.letIn().map(({ group }) => group);

describe('columns', () => {
  test('that are excluded are in no part of a message, and renamed ones have their new names in all', async () => {
    const rules = { exclude: ['note'], rename: new Map([['email', 'mail']]) };
    const h = await letIn(tableWith(rules), [
      ...table('f'),
      insertMessage(1, ['1', 'a@x.de', 'n']),
      updateMessage(1, ['1', 'b@x.de', 'm'], { kind: 'full', row: ['1', 'a@x.de', 'n'] }),
      deleteMessage(1, { kind: 'full', row: ['1', 'b@x.de', 'm'] }),
    ]);
    expect(bodiesOf(h).map(({ record, changes }) => ({ record, changes }))).toEqual([
      { record: { id: '1', mail: 'a@x.de' }, changes: null },
      { record: { id: '1', mail: 'b@x.de' }, changes: { mail: 'a@x.de' } },
      { record: { id: '1', mail: 'b@x.de' }, changes: null },
    ]);
  });

  test('of the key may be renamed: a change of the key still says both', async () => {
    const settings = { ...tableWith({ rename: new Map([['id', 'key']]) }), keyChanges: 'split' } as const;
    const h = await letIn(settings, [
      ...table(),
      updateMessage(1, ['2', 'e', 'n'], { kind: 'key', row: ['1', null, null] }),
    ]);
    expect(bodiesOf(h).map(({ metadata }) => metadata['key_change'])).toEqual([
      { old: { key: '1' }, new: { key: '2' } },
      { old: { key: '1' }, new: { key: '2' } },
    ]);
    expect(groupsOf(h)).toEqual(['public.t1:1', 'public.t1:2']);
  });

  test('with a new name are listed by it where they are absent', async () => {
    const h = await letIn(tableWith({ rename: new Map([['note', 'remark']]) }), [
      ...table(),
      updateMessage(1, ['1', 'e', UNCHANGED]),
    ]);
    expect(bodiesOf(h)[0]!.metadata['unchanged_columns']).toEqual(['remark']);
  });
});

describe('a masked value', () => {
  const hash = { kind: 'hash' } as const;

  test('is masked in record, changes, key texts, key change and group', async () => {
    const settings = {
      ...tableWith(masks({ id: hash, email: { kind: 'email' } })),
      keyChanges: 'split',
    } as const;
    const h = await letIn(settings, [
      ...table('f'),
      insertMessage(1, ['1', 'alice@x.de', 'n']),
      updateMessage(1, ['1', 'bob@x.de', 'n'], { kind: 'full', row: ['1', 'alice@x.de', 'n'] }),
      updateMessage(1, ['2', 'bob@x.de', 'n'], { kind: 'full', row: ['1', 'bob@x.de', 'n'] }),
    ]);
    const [inserted, updated, deleted, moved] = bodiesOf(h);
    expect(inserted).toMatchObject({
      record: { id: digest('1'), email: 'a***@x.de' },
      metadata: { record_pks: [digest('1')] },
    });
    expect(updated).toMatchObject({ record: { email: 'b***@x.de' }, changes: { email: 'a***@x.de' } });
    const change = { old: { id: digest('1') }, new: { id: digest('2') } };
    expect([deleted, moved].map((body) => body!.metadata['key_change'])).toEqual([change, change]);
    const [old, now] = [digest('1'), digest('2')].map((text) => `public.t1:${text}`);
    expect(groupsOf(h)).toEqual([old, old, old, now]);
    expect(JSON.stringify(h.bodies())).not.toMatch(/alice|bob/);
  });

  test.each([
    { kind: 'redact' },
    { kind: 'null' },
    { kind: 'last', count: 1 },
    { kind: 'email' },
    hash,
  ] as const)(
    'of the key has a group of its own for each value, whatever its mask is ($kind)',
    async (rule) => {
      const h = await letIn(tableWith(masks({ id: rule })), [
        ...table(),
        insertMessage(1, ['a1', 'e', 'n']),
        insertMessage(1, ['b1', 'e', 'n']),
        deleteMessage(1, { kind: 'key', row: ['a1', null, null] }),
      ]);
      expect(groupsOf(h)).toEqual(['a1', 'b1', 'a1'].map((id) => `public.t1:${digest(id)}`));
    },
  );

  test.each(formatNames)('leaves in no message of the format %s', async (name) => {
    const format: MessageFormat = formats[name];
    const settings = {
      ...tableWith(masks({ id: hash, email: { kind: 'redact' }, note: { kind: 'last', count: 1 } })),
      format: name,
      formatOptions: format.options?.parse({}),
      values: format.values,
    };
    const h = await letIn(settings, [
      ...table('f'),
      insertMessage(1, ['planted1', 'planted2', 'planted-x']),
      updateMessage(1, ['planted1', 'planted3', 'planted-x'], {
        kind: 'full',
        row: ['planted1', 'planted2', 'planted-x'],
      }),
      deleteMessage(1, { kind: 'full', row: ['planted1', 'planted3', 'planted-x'] }),
    ]);
    const sent = JSON.stringify([h.bodies(), groupsOf(h)]);
    expect(sent).toContain(digest('planted1'));
    expect(sent).toContain('***x');
    expect(sent).not.toContain('planted');
  });

  test('that is NULL stays NULL, and one that is absent stays absent, and is listed', async () => {
    const rules = masks({ email: { kind: 'redact' }, note: hash });
    const h = await letIn(tableWith(rules), [
      ...table(),
      updateMessage(1, ['1', null, UNCHANGED]),
      deleteMessage(1, { kind: 'key', row: ['1', null, null] }),
    ]);
    expect(bodiesOf(h).map(({ record }) => record)).toEqual([{ id: '1', email: null }, { id: '1' }]);
    expect(bodiesOf(h)[0]!.metadata['unchanged_columns']).toEqual(['note']);
  });

  test.each([
    '${%table%}/${email}/${note}',
    '${meta.table}/${row.email}/${row.note}',
    '${meta.table}/${row.email:-x}/${row.note:-x}',
  ])('is masked in a template of groups, and is what consumers see there: %s', async (groupTemplate) => {
    const sink = { routeOf: () => ({ ...ROUTE, groupTemplate }) };
    const rules = masks({ email: { kind: 'email' }, note: hash });
    const h = await letIn(tableWith(rules), [...table(), insertMessage(1, ['1', 'alice@x.de', 'n'])], {
      sink,
    });
    expect(groupsOf(h)).toEqual([`t1/a***@x.de/${digest('n')}`]);
  });

  test('is masked for a route that rows decide, and in the facts that a sink asks for', async () => {
    const asked: (string | null | undefined)[] = [];
    const sink = {
      wantsRow: true,
      routeByRow: () => ({
        groupTemplate: undefined,
        idOf: (row: { text(column: string): string | null | undefined } | undefined) => {
          asked.push(row!.text('email'), row!.text('id'));
          return 'q';
        },
        open: () => ROUTE,
      }),
    };
    const settings = tableWith({
      ...masks({ id: hash, email: { kind: 'null' } }),
      rename: new Map([['id', 'key']]),
    });
    const h = await letIn(settings, [...table(), insertMessage(1, ['1', 'alice@x.de', 'n'])], { sink });
    expect(asked).toEqual([null, digest('1')]);
    expect(h.letIn()[0]!.row).toEqual({ key: [{ name: 'key', text: digest('1') }], unchangedColumns: [] });
  });

  test('cannot be found from the key of a row that a backfill has read', async () => {
    const keysWith = async (maskKey: string): Promise<string[]> => {
      const settings = { ...tableWith(masks({ id: { kind: 'redact' } })), maskKey };
      const h = sinkIntake({
        settings,
        blocks: blocksOf(
          readsOf({
            rows: [
              ['a', null],
              ['b', null],
            ],
          }),
        ),
      });
      await h.walk();
      expect(bodiesOf(h).map(({ record }) => record)).toEqual([
        { id: '***', note: null },
        { id: '***', note: null },
      ]);
      return h.letIn().map(({ idempotencyKey }) => idempotencyKey);
    };
    const keys = [...(await keysWith(KEY)), ...(await keysWith(KEY.toUpperCase()))];
    expect(new Set(keys).size).toBe(4);
  });
});

const ROUTE = {
  id: 'q',
  keepsOrder: true,
  limits: { batchCount: 10, batchBytes: 1 << 20, messageBytes: 1 << 20, lanesPerRoute: 1 },
  groupTemplate: undefined,
  target: undefined,
};

/** The table, one of whose columns was called `email` before. */
const renamed = (to: string): Buffer[] => changedTo(['id', to, 'note'], (_, i) => i + 1);

/**
 * From `id, email, note` of `t1`. `numberOf`: of an attribute; undefined: not known. `to`: the table's name from now on. `isUntold`: the
 * rows from before came from a backfill.
 */
const changedTo = (
  names: readonly string[],
  numberOf: (name: string, i: number) => number | undefined,
  { to = 't1', isUntold = false }: { readonly to?: string; readonly isUntold?: boolean } = {},
): Buffer[] => {
  const shape = (names: readonly string[], table: string) => ({
    relationId: 1,
    schema: 'public',
    table,
    columns: names.map((name, i) => {
      const number = numberOf(name, i);
      return { name, type: TEXT, typeModifier: -1, ...(number !== undefined && { number }) };
    }),
    key: ['id'],
  });
  const [before, after] = [shape(['id', 'email', 'note'], 't1'), shape(names, to)];
  return [
    relationMessage({
      id: 1,
      schema: 'public',
      table: to,
      identity: 'd',
      columns: names.map((name) => ({ name, type: TEXT, identity: name === 'id' })),
    }),
    encodeEnrichment({
      relationId: 1,
      key: ['id'],
      types: new Map(),
      ...(isUntold
        ? { untold: [{ before, after }] }
        : { schemaChange: { before, after, at: { commitLsn: toLsn(100n), index: 0 } } }),
    }),
  ];
};

const JSONB = 3802;
const COMPOSITE = 50_000;
/** A table with a document, and another one. */
const documents = (type: number, second = 'more'): Buffer[] => [
  relationMessage({
    id: 1,
    schema: 'public',
    table: 't1',
    identity: 'd',
    columns: [
      { name: 'id', type: TEXT, identity: true },
      { name: 'doc', type },
      { name: second, type: JSONB },
    ],
  }),
  encodeEnrichment({
    relationId: 1,
    key: ['id'],
    types: new Map([
      [
        COMPOSITE,
        {
          kind: 'composite',
          name: 'address',
          attributes: [
            { name: 'city', type: TEXT },
            { name: 'zip', type: 23 },
          ],
        },
      ],
    ]),
  }),
];
describe('the sink halts, and says where and what to do,', () => {
  const row = insertMessage(1, ['1', 'alice@x.de', 'n']);

  test.each([
    [
      'where a column of the key is excluded',
      { exclude: ['id'] },
      table(),
      /exclude_columns names "id", which is part of the key/,
      /mask it instead/,
    ],
    [
      'where two columns would have one name',
      { rename: new Map([['email', 'note']]) },
      table(),
      /"email" and the column "note" would both be called "note"/,
      /give one of them another name/,
    ],
    [
      'where a flattened column has no members',
      { flatten: new Map([['email', { separator: '_', depth: 1 }]]) },
      table(),
      /flatten names "email", which is neither a composite nor jsonb/,
      /take it out of flatten/,
    ],
    [
      'where members of two columns could have one name',
      {
        flatten: new Map([
          ['doc', { separator: '_', depth: 1 }],
          ['doc_a', { separator: '_', depth: 1 }],
        ]),
      },
      documents(3802, 'doc_a'),
      /members of the columns "doc" and "doc_a" could have the same names, as both begin with "doc_"/,
      /another separator/,
    ],
    [
      'where an added member has the name of a column',
      { add: new Map([['note', { kind: 'constant', json: '1' }]]) },
      table(),
      /the column "note" and a member of add would both be called "note"/,
      /give one of them another name/,
    ],
    [
      'where a masked column has another name now',
      masks({ email: { kind: 'redact' } }),
      renamed('mail'),
      /"email", whose values stay here, is now called "mail"/,
      /name "mail" beside "email" under mask/,
    ],
    [
      'where an excluded column has another name now',
      { exclude: ['email'] },
      renamed('mail'),
      /is now called "mail"/,
      /under exclude_columns/,
    ],
  ] as const)('%s', async (_, rules, relation, message, hint) => {
    const halt = await letIn(tableWith(rules as Rules), [...relation, row]).catch((error: unknown) => error);
    expect(halt).toMatchObject({ code: 'COLUMN_RULES_UNUSABLE', hint: expect.stringMatching(hint) });
    expect((halt as Error).message).toContain(PLACE);
    expect((halt as Error).message).toMatch(message);
    expect((halt as Error).message).not.toContain('alice');
  });

  test.each([
    ['it is masked', masks({ email: { kind: 'redact' } }), {}, ['id', 'email', 'note'], '"email"'],
    ['it is excluded', { exclude: ['email'] }, {}, ['id', 'email', 'note'], '"email"'],
    ['it is not listed', {}, { columns: ['id', 'email'] }, ['id', 'email', 'note'], '"note"'],
    ['it has another name, too', masks({ email: { kind: 'null' } }), {}, ['id', 'mail', 'note'], '"mail"'],
  ] as const)(
    'where a table is renamed and a column of it would go out that stayed here under the old name, as %s',
    async (_, rules, options, names, column) => {
      const settings = tableWith(rules, options);
      const to = (name: string, isUntold = false) =>
        changedTo(names, (_, i) => i + 1, { to: name, isUntold });
      const haltOf = (rows: readonly Buffer[]) =>
        letIn(settings, [...rows, row]).catch((error: unknown) => error);
      const halt = await haltOf(to('t2'));
      expect(await haltOf(to('t2', true))).toEqual(halt);
      expect(halt).toMatchObject({
        code: 'COLUMN_RULES_UNUSABLE',
        hint: expect.stringMatching(/^name public\.t2 beside public\.t1 under tables/),
      });
      expect((halt as Error).message).toContain(
        `${PLACE} cannot be used for public.t2, as it is at this change: the table public.t1 is now called public.t2, and nothing says that ${column} stays here under that name, too`,
      );
      // The cure, and what may go out.
      const [former] = settings.tables!;
      const named = (more: Partial<TableOptions>) => ({
        ...settings,
        tables: [former!, { ...former!, ...more, pattern: tablePattern({ schema: 'public', table: 't2' }) }],
      });
      const stays = {
        place: PLACE,
        ...NO_RULES,
        exclude: names.filter((name) => name !== 'id'),
      };
      const bodies = async (more: Partial<TableOptions>) =>
        bodiesOf(await letIn(named(more), [...to('t2'), row])).map(({ record }) =>
          Object.keys(record as object),
        );
      const { columns: __, ...unlisted } = former!;
      expect(await bodies({ ...unlisted, rules: stays })).toEqual([['id']]);
      expect(await bodies({ columns: [...names], rules: { ...stays, exclude: [] } })).toEqual([[...names]]);
    },
  );

  test('where a table with a filter of its own is renamed, and none is for the new name', async () => {
    const { settings } =
      await loadText(`databases: [{ name: d, database: d, hostname: h, slot: { name: s }, publication: { name: p } }]
sinks: [{ name: s, tables: [{ name: public.t1, where: "note = 'x'" }], destination: { type: sqs, queue_name: q } }]`);
    const [{ tables }] = settings.sinks as [SinkSettings];
    const rows = [...changedTo(['id', 'email', 'note'], (_, i) => i + 1, { to: 't2' }), row];
    const halt = await letIn({ tables }, rows).catch((error: unknown) => error);
    expect((halt as Error).message).toMatch(
      /public\.t1 is now called public\.t2, and no filter is for that name/,
    );
    expect(halt).toMatchObject({
      hint: expect.stringMatching(/name public\.t2 beside public\.t1 .* with its `where`/),
    });
  });

  test('where rows are told apart by a masked column, and there is no key', async () => {
    const { maskKey: _, ...settings } = tableWith(masks({ id: { kind: 'redact' } }));
    await expect(letIn(settings, [...table(), row])).rejects.toMatchObject({ code: 'MASK_KEY_MISSING' });
    const reads = sinkIntake({
      settings: { ...settings, messageGrouping: false },
      blocks: blocksOf(readsOf({ rows: [['a', null]] })),
    });
    await expect(reads.walk()).rejects.toMatchObject({ code: 'MASK_KEY_MISSING' });
  });

  test('where a template of groups names what is hidden', async () => {
    const sink = { routeOf: () => ({ ...ROUTE, groupTemplate: '${email}' }) };
    const rules = masks({ email: { kind: 'null' } });
    await expect(letIn(tableWith(rules), [...table(), row], { sink })).rejects.toMatchObject({
      code: 'GROUP_COLUMN_MASKED',
    });
  });
});

const flatten = (rule: Partial<{ separator: string; depth: number }> = {}): Rules => ({
  flatten: new Map([['doc', { separator: '_', depth: 16, ...rule }]]),
});

describe('a flattened column', () => {
  test('stands as its members, of a composite and of jsonb; what is none stays whole, NULL stays NULL, and absent stays absent', async () => {
    const composite = await letIn(tableWith(flatten()), [
      ...documents(COMPOSITE),
      insertMessage(1, ['1', '("New York",10001)', null]),
      insertMessage(1, ['2', '(,)', '{"a":1}']),
      insertMessage(1, ['3', null, null]),
      updateMessage(1, ['4', UNCHANGED, UNCHANGED]),
    ]);
    expect(bodiesOf(composite).map(({ record }) => record)).toEqual([
      { id: '1', doc_city: 'New York', doc_zip: 10001, more: null },
      { id: '2', doc_city: null, doc_zip: null, more: { a: 1 } },
      { id: '3', doc: null, more: null },
      { id: '4' },
    ]);
    expect(bodiesOf(composite)[3]!.metadata['unchanged_columns']).toEqual(['doc', 'more']);
    const json = await letIn(tableWith({ ...flatten({ separator: '.' }), rename: new Map([['doc', 'd']]) }), [
      ...documents(JSONB),
      insertMessage(1, ['1', '{"a": {"b": 1.50, "c": []}, "d": null}', null]),
      insertMessage(1, ['2', '[1]', null]),
      insertMessage(1, ['3', '{}', null]),
    ]);
    expect(bodiesOf(json).map(({ record }) => record)).toEqual([
      { id: '1', 'd.a.b': 1.5, 'd.a.c': [], 'd.d': null, more: null },
      { id: '2', d: [1], more: null },
      { id: '3', d: {}, more: null },
    ]);
  });

  test('stays whole where a member would have the name of another column, or of what the format adds', async () => {
    const h = await letIn(tableWith(flatten()), [
      ...documents(JSONB, 'doc_x'),
      insertMessage(1, ['1', '{"x": "not the column"}', '"the column"']),
      insertMessage(1, ['2', '{"y": 1}', '"the column"']),
    ]);
    expect(bodiesOf(h).map(({ record }) => record)).toEqual([
      { id: '1', doc: { x: 'not the column' }, doc_x: 'the column' },
      { id: '2', doc_y: 1, doc_x: 'the column' },
    ]);
    const rules = { ...flatten({ separator: 'n' }), rename: new Map([['doc', 'ki']]) };
    const flat = await letIn({ ...tableWith(rules), format: 'pg2sqs', formatOptions: {} }, [
      ...documents(JSONB),
      insertMessage(1, ['1', '{"d": "not the kind"}', null]),
    ]);
    expect(flat.bodies()).toEqual([{ id: '1', ki: { d: 'not the kind' }, more: null, kind: 'insert' }]);
  });

  test('is escaped as the rest is where a sink asks for that', async () => {
    const h = await letIn(
      tableWith(flatten()),
      [...documents(JSONB), insertMessage(1, ['1', '{"a\\"b": "c\\nd"}', null])],
      {
        sink: { routeOf: () => ROUTE, encoding: 'json-string' },
      },
    );
    const [message] = h.letIn();
    const text = message!.buffer.toString('utf8', message!.start, message!.end);
    const body = JSON.parse(JSON.parse(`"${text}"`) as string) as Body;
    expect(body.record).toEqual({ id: '1', 'doc_a"b': 'c\nd', more: null });
  });
});

describe('an added member', () => {
  const add = (members: Readonly<Record<string, string | { json: string }>>): Rules => ({
    add: new Map(
      Object.entries(members).map(([name, of]) => [
        name,
        typeof of === 'string' ? { kind: 'template', template: of } : { kind: 'constant', json: of.json },
      ]),
    ),
  });

  test('stands in every record, made of the row that the record has; NULL makes NULL, absent makes it absent, a default stands for both', async () => {
    const members = {
      source: { json: '"shop"' },
      label: '${meta.table}: ${row.email}',
      was: '${old.note}',
      sure: '${row.note:-none}',
    };
    const h = await letIn(tableWith(add(members)), [
      ...table('f'),
      insertMessage(1, ['1', 'e', null]),
      updateMessage(1, ['1', null, 'n'], { kind: 'full', row: ['1', 'e', 'm'] }),
      deleteMessage(1, { kind: 'full', row: ['1', 'f', 'n'] }),
    ]);
    expect(bodiesOf(h).map(({ record, changes }) => [record, changes])).toEqual([
      [{ id: '1', email: 'e', note: null, source: 'shop', label: 't1: e', sure: 'none' }, null],
      [
        { id: '1', email: null, note: 'n', source: 'shop', label: null, was: 'm', sure: 'n' },
        { email: 'e', note: 'm' },
      ],
      [{ id: '1', email: 'f', note: 'n', source: 'shop', label: 't1: f', was: 'n', sure: 'n' }, null],
    ]);
    const byKey = await letIn(tableWith(add({ label: '${row.email}', key: '${row.id}' })), [
      ...table('d'),
      deleteMessage(1, { kind: 'key', row: ['1', null, null] }),
    ]);
    expect(bodiesOf(byKey).map(({ record }) => record)).toEqual([{ id: '1', key: '1' }]);
  });

  test('says of a masked column what consumers see, and halts the sink where that is nothing', async () => {
    const label = add({ label: 'to ${row.email}' });
    const masked = { ...label, ...masks({ email: { kind: 'email' } }) };
    const rows = [...table(), insertMessage(1, ['1', 'alice@x.de', 'n'])];
    const h = await letIn(tableWith(masked), rows);
    expect(bodiesOf(h)[0]!.record).toMatchObject({ label: 'to a***@x.de' });
    const hidden = tableWith({ ...label, ...masks({ email: { kind: 'redact' } }) });
    await expect(letIn(hidden, rows)).rejects.toMatchObject({ code: 'ADDED_COLUMN_MASKED' });
  });

  test('is none of a changed key, which both halves say', async () => {
    const settings = {
      ...tableWith(add({ a: '${row.id}', b: { json: '1' } })),
      keyChanges: 'split',
    } as const;
    const moved = updateMessage(1, ['2', 'e', 'n'], { kind: 'key', row: ['1', null, null] });
    const h = await letIn(settings, [...table(), moved]);
    expect(bodiesOf(h).map(({ record, metadata }) => [record, metadata['key_change']])).toEqual([
      [
        { id: '1', a: '1', b: 1 },
        { old: { id: '1' }, new: { id: '2' } },
      ],
      [
        { id: '2', email: 'e', note: 'n', a: '2', b: 1 },
        { old: { id: '1' }, new: { id: '2' } },
      ],
    ]);
  });

  test('that is the only member of a record stands without a comma', async () => {
    const settings = tableWith({ ...add({ a: '${row.email}', b: { json: '1' } }) }, { columns: ['id'] });
    const h = await letIn(settings, [...table(), deleteMessage(1, { kind: 'key', row: [null, null, null] })]);
    expect(bodiesOf(h)[0]!.record).toEqual({ id: null, b: 1 });
  });
});

describe('where nobody knows which attributes the columns were', () => {
  const kept = masks({ email: { kind: 'redact' } });
  const unknown = (names: readonly string[], rules: Rules = kept, columns?: readonly string[]) =>
    letIn(tableWith(rules, columns === undefined ? {} : { columns }), [
      // Of the key it is known.
      ...changedTo(names, (name) => (name === 'id' ? 1 : undefined)),
      insertMessage(
        1,
        names.map((name) => (name === 'id' ? '1' : `of ${name}`)),
      ),
    ]);

  test.each([
    ['in the place of a masked one', ['id', 'mail', 'note']],
    ['behind, while another one is gone', ['id', 'email', 'mail']],
    ['before others that are there still', ['id', 'mail', 'email', 'note']],
  ])('a column with a new name halts the sink %s', async (_, names) => {
    await expect(unknown(names)).rejects.toMatchObject({
      code: 'COLUMN_RULES_UNUSABLE',
      message: expect.stringMatching(/nobody knows whether the column "mail" is "email" under another name/),
      hint: expect.stringMatching(/name "mail" beside "email" under mask, or, .* under `columns`/),
    });
    const both = masks({ email: { kind: 'redact' }, mail: { kind: 'redact' } });
    expect(bodiesOf(await unknown(names, both))[0]!.record).toMatchObject({ mail: '***' });
    expect(bodiesOf(await unknown(names, kept, ['id', 'mail']))[0]!.record).toEqual({
      id: '1',
      mail: 'of mail',
    });
    expect(bodiesOf(await unknown(names, kept, ['id']))[0]!.record).toEqual({ id: '1' });
  });

  test('a column behind all those that are there still is a new one', async () => {
    const h = await unknown(['id', 'email', 'note', 'mail']);
    expect(bodiesOf(h)[0]!.record).toEqual({ id: '1', email: '***', note: 'of note', mail: 'of mail' });
  });

  test.each([
    ['where that may be gone', ['id', 'note']],
    ['where they may have changed their names with each other', ['id', 'note', 'email']],
    ['beside one with a new name', ['id', 'note', 'email', 'mail']],
  ])('a column that the masked one may be by the name of another halts the sink %s', async (_, names) => {
    const rules = masks({ email: { kind: 'redact' }, mail: { kind: 'redact' } });
    await expect(unknown(names, rules)).rejects.toMatchObject({
      message: expect.stringMatching(/whether the column "note" is "email" under another name/),
    });
    const listed = await unknown(names, rules, ['id', 'note']);
    expect(bodiesOf(listed)[0]!.record).toEqual({ id: '1', note: 'of note' });
  });

  test('what is known of both is told apart', async () => {
    const numbers: Readonly<Record<string, number>> = { id: 1, email: 2, note: 3, mail: 4 };
    const dropped = [
      ...changedTo(['id', 'note', 'mail'], (name) => numbers[name]),
      insertMessage(1, ['1', 'n', 'm']),
    ];
    const h = await letIn(tableWith(kept), dropped);
    expect(bodiesOf(h)[0]!.record).toEqual({ id: '1', note: 'n', mail: 'm' });
  });
});

test('what nobody is told of halts the sink as well: rows that a backfill has read had the column under its old name', async () => {
  const shape = (name: string) => ({
    relationId: 1,
    schema: 'public',
    table: 't1',
    columns: ['id', name].map((name, i) => ({ name, type: TEXT, typeModifier: -1, number: i + 1 })),
  });
  const untold = [
    { before: shape('other'), after: shape('note') },
    { before: shape('email'), after: shape('note') },
  ];
  const blocks = blocksOf(readsOf({ rows: [['1', 'alice@x.de']], untold }));
  const settings = { ...tableWith(masks({ email: { kind: 'redact' } })), ddl: 'events' } as const;
  await expect(sinkIntake({ settings, blocks }).walk()).rejects.toMatchObject({
    message: expect.stringMatching(/"email", whose values stay here, is now called "note"/),
  });
  const both = tableWith(masks({ email: { kind: 'redact' }, note: { kind: 'redact' } }));
  const named = sinkIntake({ settings: { ...both, ddl: 'events' }, blocks });
  await named.walk();
  expect(named.bodies().map(({ action, record }) => ({ action, record }))).toEqual([
    { action: 'read', record: { id: '1', note: '***' } },
  ]);
});

test('a renamed column goes on masked where both names have a rule, and rules for columns that are not there do nothing', async () => {
  const rules = masks({ email: { kind: 'redact' }, mail: { kind: 'redact' }, other: { kind: 'null' } });
  const h = await letIn(tableWith(rules), [...renamed('mail'), insertMessage(1, ['1', 'alice@x.de', 'n'])]);
  expect(bodiesOf(h)[0]!.record).toEqual({ id: '1', mail: '***', note: 'n' });
});

test('a message that tells of a schema does not name excluded columns', async () => {
  const settings = { ...tableWith({ exclude: ['email', 'mail'] }), ddl: 'events' } as const;
  const h = await letIn(settings, [...renamed('mail'), insertMessage(1, ['1', 'alice@x.de', 'n'])]);
  expect(h.letIn().map(({ action }) => action)).toEqual(['insert']);
});

test('a message that tells of a schema has the names in Postgres, also of columns that are called otherwise in rows', async () => {
  const settings = { ...tableWith({ rename: new Map([['mail', 'contact']]) }), ddl: 'events' } as const;
  const h = await letIn(settings, [...renamed('mail'), insertMessage(1, ['1', 'alice@x.de', 'n'])]);
  await h.drained();
  const [told, row] = h.endpoint.accepted.map(({ body }) => body);
  expect(told).toContain('"mail"');
  expect(told).not.toContain('contact');
  expect(row).toContain('"contact":"alice@x.de"');
});

test('the page on columns shows a configuration that is one, and the row that comes of it', async () => {
  const page = readFileSync(new URL('../../../../docs/columns.md', import.meta.url), 'utf8');
  const [, yaml] = /```yaml\n(databases:.*?)```/s.exec(page)!;
  const [, json] = /```json\n(.*?)```/s.exec(page)!;
  const { settings } = await loadText(yaml!, { MASK_KEY: KEY });
  const { tables, maskKey } = settings.sinks[0]!;
  const names = ['id', 'name', 'city', 'mail', 'ssn', 'card', 'phone', 'note', 'password', 'address'];
  const row = [
    '7',
    'Alice',
    null,
    'alice@example.com',
    '123',
    '4111-1234',
    '555',
    'x',
    'y',
    '("Main St 1",10001)',
  ];
  const h = await letIn({ tables, maskKey: maskKey! }, [
    relationMessage({
      id: 1,
      schema: 'public',
      table: 'users',
      identity: 'd',
      columns: names.map((name) => ({
        name,
        type: name === 'address' ? COMPOSITE : name === 'id' ? 23 : TEXT,
        identity: name === 'id',
      })),
    }),
    encodeEnrichment({
      relationId: 1,
      key: ['id'],
      types: new Map([
        [
          COMPOSITE,
          {
            kind: 'composite',
            name: 'address',
            attributes: ['street', 'zip'].map((name) => ({ name, type: TEXT })),
          },
        ],
      ]),
    }),
    insertMessage(1, row),
  ]);
  expect(bodiesOf(h)[0]!.record).toEqual(JSON.parse(json!));
});

// What the rules of a table make of its rows: names and masks in every part of a message and beside it, and where rules do not fit.
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { tablePattern } from '../../../../src/core/selection.ts';
import { toLsn } from '../../../../src/core/lsn.ts';
import type { MaskRule } from '../../../../src/functions/columns/rules.ts';
import { encodeEnrichment } from '../../../../src/pgoutput/enrichment.ts';
import type { Pending } from '../../../../src/pipeline/delivery/pending.ts';
import type { SinkSettings, TableOptions } from '../../../../src/pipeline/settings.ts';
import { begin, commit } from '../../../log/stream.ts';
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
      rules: { place: PLACE, exclude: [], rename: new Map(), mask: new Map(), ...rules },
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

  test('is masked in a template of groups, and is what consumers see there', async () => {
    const sink = { routeOf: () => ({ ...ROUTE, groupTemplate: '${%table%}/${email}/${note}' }) };
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
const renamed = (to: string): Buffer[] => {
  const shape = (names: readonly string[]) => ({
    relationId: 1,
    schema: 'public',
    table: 't1',
    columns: names.map((name, i) => ({ name, type: TEXT, typeModifier: -1, number: i + 1 })),
    key: ['id'],
  });
  const names = ['id', to, 'note'];
  return [
    relationMessage({
      id: 1,
      schema: 'public',
      table: 't1',
      identity: 'd',
      columns: names.map((name) => ({ name, type: TEXT, identity: name === 'id' })),
    }),
    encodeEnrichment({
      relationId: 1,
      key: ['id'],
      types: new Map(),
      schemaChange: {
        before: shape(['id', 'email', 'note']),
        after: shape(names),
        at: { commitLsn: toLsn(100n), index: 0 },
      },
    }),
  ];
};

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
      /"email" and "note" would both be called "note"/,
      /rename one of them/,
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

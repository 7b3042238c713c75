// Column rules, every format and routes from rows together: what each message of each of them says, and what none of them may say.
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { formats } from '../../../../src/formats/registry.ts';
import { dataFormatNames } from '../../../../src/formats/names.ts';
import { tablePattern } from '../../../../src/core/selection.ts';
import { NO_RULES, type ColumnRules, type MaskRule } from '../../../../src/functions/columns/rules.ts';
import type { Pending } from '../../../../src/pipeline/delivery/pending.ts';
import type { SinkSettings } from '../../../../src/pipeline/settings.ts';
import { contentOfEvent } from '../../../../src/sinks/webhook/events.ts';
import { KnownRoutes } from '../../../../src/sinks/routing/known-routes.ts';
import { routeByTemplates } from '../../../../src/sinks/routing/route-by-row.ts';
import { sqs } from '../../../../src/sinks/sqs/sqs.ts';
import type { Route, RouteInput } from '../../../../src/sinks/sink.ts';
import { begin, commit } from '../../../log/stream.ts';
import { routeTo } from '../../../support/dispatcher.ts';
import { describeTable, sinkIntake } from '../../../support/intake.ts';
import { blocksOf } from '../../../support/log-blocks.ts';
import { bodyOf } from '../../../support/messages.ts';
import {
  deleteMessage,
  insertMessage,
  UNCHANGED,
  updateMessage,
  type Cell,
} from '../../../support/pgoutput-messages.ts';
import { readsOf } from '../../../support/reads.ts';

const TEXT = 25;
const JSONB = 3802;
const T = { commitLsn: 100n, rows: 0 };
const KEY = '0123456789abcdef';
const digest = (value: string): string => createHmac('sha256', KEY).update(value).digest('hex');

const unwrapped = { debezium: { unwrap: true, 'add.fields': 'op,source.lsn' } };
const pk = { wal2json: { 'include-pk': true } };

/** Every format, and every one inside an event. */
const SHAPES = [
  ...dataFormatNames.map((format) => ({
    title: format as string,
    format: format as SinkSettings['format'],
    formatOptions: {},
  })),
  { title: 'unwrapped debezium', format: 'debezium' as const, formatOptions: unwrapped },
  { title: 'wal2json with keys', format: 'wal2json' as const, formatOptions: pk },
  ...dataFormatNames.map((format) => ({
    title: `cloudevents around ${format}`,
    format: 'cloudevents' as const,
    formatOptions: { data: { format, options: formats[format].options?.parse({}) ?? {} } },
  })),
];

type Shape = (typeof SHAPES)[number];

const settingsOf = (
  { format, formatOptions }: Shape,
  rules: Partial<ColumnRules>,
  more: Partial<SinkSettings> = {},
): Partial<SinkSettings> => ({
  format,
  formatOptions:
    format === 'cloudevents' ? formatOptions : (formats[format].options?.parse(formatOptions) ?? {}),
  values: formats[format].values,
  maskKey: KEY,
  tables: [
    {
      pattern: tablePattern({ schema: 'public', table: 't1' }),
      rules: { place: 'tailrace.yaml:8:9  sinks[users].tables[public.t1]', ...NO_RULES, ...rules },
    },
  ],
  ...more,
});

const IDENTITIES = ['d', 'f', 'i'] as const;

/** A key of two columns, one of which an index' identity has too. */
const described = (identity: (typeof IDENTITIES)[number]): Buffer[] =>
  describeTable({
    id: 1,
    identity,
    key: ['id', 'tenant'],
    columns: [
      { name: 'id', type: TEXT, identity: true },
      { name: 'tenant', type: TEXT, identity: identity !== 'i' },
      { name: 'secret', type: TEXT, identity: identity !== 'd' },
      { name: 'large', type: TEXT, identity: identity === 'f' },
      { name: 'region', type: TEXT, identity: identity === 'f' },
    ],
  });

/** Of each action, with values that did not change and were not sent, changed keys and NULL. */
function rowsUnder(identity: (typeof IDENTITIES)[number]): Buffer[] {
  const row = (id: string, tag: string, region = 'eu') => [
    `planted-${id}`,
    'planted-tenant',
    `planted-${tag}@planted.example`,
    `planted-large-${tag}`,
    region,
  ];
  const old = (id: string, tag: string) =>
    identity === 'f'
      ? ({ kind: 'full', row: row(id, tag) } as const)
      : ({
          kind: 'key',
          row:
            identity === 'd'
              ? [`planted-${id}`, 'planted-tenant', null, null, null]
              : [`planted-${id}`, null, `planted-${tag}@planted.example`, null, null],
        } as const);
  const unchanged: Cell[] = ['planted-1', 'planted-tenant', UNCHANGED, UNCHANGED, 'us'];
  return [
    insertMessage(1, row('1', 'a')),
    insertMessage(1, ['planted-2', 'planted-tenant', null, null, null]),
    updateMessage(1, row('1', 'b')),
    updateMessage(1, unchanged),
    updateMessage(1, unchanged, old('1', 'b')),
    updateMessage(1, row('3', 'c', 'us'), old('1', 'b')),
    deleteMessage(1, old('3', 'c')),
  ];
}

const routing = (input: RouteInput, template: string, groupTemplate: string | undefined) =>
  routeByTemplates({
    known: new KnownRoutes<Route>(),
    input,
    routing: sqs.routing!,
    shown: { key: 'queue_name', template },
    groupTemplate,
    open: (_, id) => ({ ...routeTo(id, { batchBytes: 1 << 20, messageBytes: 1 << 20 }), groupTemplate }),
  });

/** Throws where an object names a member twice: `JSON.parse` takes the last. */
function parsedStrictly(text: string): unknown {
  const parsed: unknown = JSON.parse(text);
  const members = (value: unknown): number => {
    if (typeof value !== 'object' || value === null) return 0;
    const own = Array.isArray(value) ? 0 : Object.keys(value).length;
    return Object.values(value).reduce<number>((sum, child) => sum + members(child), own);
  };
  const written = text.match(/"(?:[^"\\]|\\.)*":/g)?.length ?? 0;
  expect(members(parsed)).toBe(written);
  return parsed;
}

const hash = { kind: 'hash' } as const;
const RULES: readonly MaskRule[] = [
  { kind: 'redact' },
  { kind: 'null' },
  hash,
  { kind: 'email' },
  { kind: 'last', count: 4 },
];

describe.each(SHAPES)('in format $title', (shape) => {
  /** Headers in binary mode. */
  const attributesOf = (message: Pending) =>
    shape.format === 'cloudevents' ? contentOfEvent(message, 'ce-').attributes : {};

  test.each(RULES)('a value under the mask $kind is in no message, group, route or key', async (rule) => {
    const mask = new Map<string, MaskRule>([
      ['id', rule],
      ['tenant', rule],
      ['secret', rule],
      ['large', rule],
    ]);
    for (const identity of IDENTITIES) {
      for (const keyChanges of ['update', 'split'] as const) {
        const routed = rule.kind === 'redact' || rule.kind === 'null' ? 'region' : 'large';
        const h = sinkIntake({
          settings: settingsOf(
            shape,
            { mask, rename: new Map([['secret', 'hidden']]) },
            {
              keyChanges,
              routeMoves: identity === 'f' && keyChanges === 'update' ? 'convert' : 'ignore',
            },
          ),
          blocks: blocksOf([begin(T), ...described(identity), ...rowsUnder(identity), commit(T)]),
          sink: {
            wantsRow: true,
            routeByRow: (input) => routing(input, `q-\${row.${routed}:-other}`, undefined),
          },
        });
        await h.walk();
        const sent = h.letIn();
        expect(sent.length).toBeGreaterThanOrEqual(7);
        for (const message of sent) {
          const body = bodyOf(message);
          parsedStrictly(body);
          const { group, route, idempotencyKey, row } = message;
          const attributes = attributesOf(message);
          const told = JSON.stringify([
            body,
            attributes,
            group,
            route,
            idempotencyKey,
            row,
            h.dead.map(({ code }) => code),
          ]);
          // What these two say may be an end of it.
          expect(told.replaceAll(/\*\*\*@planted\.example|p\*\*\*@planted\.example/g, '')).not.toMatch(
            /planted/,
          );
        }
      }
    }
  });

  test('a row that a backfill has read is masked, too', async () => {
    const mask = new Map<string, MaskRule>([
      ['id', hash],
      ['note', { kind: 'last', count: 1 }],
    ]);
    const h = sinkIntake({
      settings: settingsOf(shape, { mask }),
      blocks: blocksOf(readsOf({ rows: [['planted-1', 'planted-n']] })),
    });
    await h.walk();
    const [message] = h.letIn();
    expect(bodyOf(message!)).toContain(digest('planted-1'));
    expect(bodyOf(message!)).toContain('***n');
    expect(JSON.stringify([bodyOf(message!), message!.group, message!.idempotencyKey])).not.toMatch(
      /planted/,
    );
  });

  test('names and values that are hard to write stay one member, one header each', async () => {
    const name = 'a"b\\\n😀\u2028';
    const h = sinkIntake({
      settings: settingsOf(shape, {
        rename: new Map([['note', name]]),
        mask: new Map([['note', { kind: 'last', count: 2 }]]),
      }),
      blocks: blocksOf([
        begin(T),
        ...describeTable({ id: 1 }),
        insertMessage(1, ['1\r\n,%"', 'x"😀\n']),
        commit(T),
      ]),
    });
    await h.walk();
    const [message] = h.letIn();
    const body = JSON.stringify(parsedStrictly(bodyOf(message!)));
    expect(body).toContain(JSON.stringify('***😀\n').slice(1, -1));
    expect(body).toContain(JSON.stringify(name));
    for (const value of Object.values(attributesOf(message!))) expect(value).toMatch(/^[\x21-\x7e]*$/);
  });
});

test('a flattened column has its members in the envelope of debezium too, where an unchanged one is the placeholder', async () => {
  const shape = SHAPES.find(({ title }) => title === 'debezium')!;
  const flatten = new Map([['note', { separator: '_', depth: 1 }]]);
  const columns = [
    { name: 'id', type: TEXT, identity: true },
    { name: 'note', type: JSONB },
  ];
  const h = sinkIntake({
    settings: settingsOf(shape, { flatten }),
    blocks: blocksOf([
      begin(T),
      ...describeTable({ id: 1, columns }),
      insertMessage(1, ['1', '{"a": 1, "b": {"c": 2}}']),
      updateMessage(1, ['1', UNCHANGED]),
      updateMessage(1, ['1', '[1]']),
      commit(T),
    ]),
  });
  await h.walk();
  expect(h.bodies().map(({ after }) => after)).toEqual([
    { id: '1', note_a: 1, note_b: { c: 2 } },
    { id: '1', note: '__debezium_unavailable_value' },
    { id: '1', note: '[1]' },
  ]);
});

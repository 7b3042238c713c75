// Rows that go where templates of their sink say: which route each has, in which order, what becomes of one that has none, and of an
// update that takes its row elsewhere (`route_moves`).
import { expect, test } from 'vitest';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { tablePattern } from '../../../src/core/selection.ts';
import { NO_RULES } from '../../../src/functions/columns/rules.ts';
import { changedStep } from '../../../src/pipeline/intake/columns/changed.ts';
import type { AllowedNames } from '../../../src/sinks/routing/allowed.ts';
import { KnownRoutes } from '../../../src/sinks/routing/known-routes.ts';
import { routeByTemplates } from '../../../src/sinks/routing/route-by-row.ts';
import type { Message } from '../../../src/core/message.ts';
import type { RouteInput } from '../../../src/sinks/sink.ts';
import { sqs } from '../../../src/sinks/sqs/sqs.ts';
import { begin, commit } from '../../log/stream.ts';
import { DOWN, REFUSED, routeTo } from '../../support/dispatcher.ts';
import { describeTable, sinkIntake, type IntakeOptions } from '../../support/intake.ts';
import { blocksOf } from '../../support/log-blocks.ts';
import {
  deleteMessage,
  insertMessage,
  UNCHANGED,
  updateMessage,
  type Cell,
} from '../../support/pgoutput-messages.ts';

const TEXT = 25;
const columnsUnder = (identity: 'd' | 'f') => [
  { name: 'id', type: TEXT, identity: true },
  { name: 'region', type: TEXT, identity: identity === 'f' },
  { name: 'note', type: TEXT, identity: identity === 'f' },
];

type Options = IntakeOptions & {
  readonly template?: string;
  readonly identity?: 'd' | 'f';
  readonly groupTemplate?: string;
  readonly allowed?: AllowedNames;
  readonly settings?: Partial<SinkSettings>;
};

function routedIntake(
  { template = 'q-${row.region}', identity = 'f', groupTemplate, allowed, ...options }: Options,
  messages: readonly Buffer[],
) {
  const blocks = blocksOf([
    begin({ commitLsn: 100n, rows: 0 }),
    ...describeTable({ id: 1, identity, columns: columnsUnder(identity) }),
    ...messages,
    commit({ commitLsn: 100n, rows: 0 }),
  ]);
  const limits = { batchBytes: 1 << 20, messageBytes: 1 << 20 };
  return sinkIntake({
    ...options,
    blocks,
    sink: {
      routeByRow: (input: RouteInput) =>
        routeByTemplates({
          known: new KnownRoutes(),
          input,
          routing: sqs.routing!,
          shown: { key: 'queue_name', template },
          allowed,
          groupTemplate,
          open: (_, id) => ({ ...routeTo(id, limits), groupTemplate }),
        }),
    },
  });
}

const full = (...row: Cell[]) => ({ kind: 'full', row }) as const;
type Row = { action: string; record: { id: string }; metadata: { moved?: string; key_change?: boolean } };
const sent = (h: ReturnType<typeof routedIntake>): string[] =>
  h.letIn().map(({ route, action }) => `${route} ${action}`);

test('each row goes where it says, a delete where the row was', async () => {
  const h = routedIntake({}, [
    insertMessage(1, ['1', 'eu', 'n']),
    insertMessage(1, ['2', 'us', 'n']),
    updateMessage(1, ['1', UNCHANGED, 'm'], full('1', 'eu', 'n')),
    deleteMessage(1, full('2', 'us', 'n')),
  ]);
  await h.walk();
  expect(sent(h)).toEqual(['q-eu insert', 'q-us insert', 'q-eu update', 'q-us delete']);
});

test('a row without a route is a dead letter in its turn, and the others go on', async () => {
  const order: string[] = [];
  const h = routedIntake(
    { onSettled: (messages) => order.push(...messages.map(({ index }) => String(index))) },
    [
      insertMessage(1, ['1', 'eu', 'n']),
      updateMessage(1, ['1', null, 'n'], full('1', 'eu', 'n')),
      updateMessage(1, ['1', 'eu', 'm'], full('1', null, 'n')),
      insertMessage(1, ['2', 'x/y', 'n']),
      insertMessage(1, ['3', 'us', 'n']),
    ],
  );
  await h.walk();
  await h.drained();
  expect(h.dead.map(({ code, message }) => [code, message.index, message.route])).toEqual([
    ['ROUTE_VALUE_UNFIT', 3, 'q-${row.region}'],
    ['ROUTE_VALUE_NULL', 1, 'q-${row.region}'],
  ]);
  expect(h.endpoint.accepted.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual([0, 2, 4]);
  expect(order.indexOf('0')).toBeLessThan(order.indexOf('1'));
  expect(order.indexOf('1')).toBeLessThan(order.indexOf('2'));
  expect(h.dead[0]!.message.refusal!.hint).toMatch(
    /^insert of public\.t1: queue_name: what row\.region holds/,
  );
});

test('a delete that Postgres sent without the column says what has it sent', async () => {
  const h = routedIntake({ identity: 'd' }, [deleteMessage(1, { kind: 'key', row: ['1', null, null] })]);
  await h.walk();
  await h.drained();
  expect(h.dead.map(({ code }) => code)).toEqual(['ROUTE_VALUE_ABSENT']);
  expect(h.dead[0]!.message.refusal!.hint).toMatch(/ALTER TABLE "public"\."t1" REPLICA IDENTITY FULL;/);
});

test('a column that the table does not have halts before its first row, or makes dead letters of its rows', async () => {
  const rows = [insertMessage(1, ['1', 'eu', 'n'])];
  const template = 'q-${row.regoin}';
  await expect(routedIntake({ template }, rows).walk()).rejects.toThrow(/names the column "regoin"/);
  const lenient = routedIntake({ template, settings: { onSchemaBreak: 'dead_letter' } }, rows);
  await lenient.walk();
  await lenient.drained();
  expect(lenient.dead.map(({ code }) => code)).toEqual(['ROUTE_COLUMN_MISSING']);
});

test('an update stays behind what went to another route before, until that has arrived', async () => {
  const h = routedIntake(
    {
      answer: ({ position, route }: Message, attempt) =>
        route === 'q-eu' && position.index === 0 && attempt < 3 ? DOWN : 'delivered',
    },
    [
      insertMessage(1, ['1', 'eu', 'n']),
      updateMessage(1, ['1', 'us', 'n'], full('1', 'eu', 'n')),
      insertMessage(1, ['2', 'us', 'n']),
    ],
  );
  await h.walk();
  await h.drained();
  // The down route holds back its own row's group and no other.
  expect(h.endpoint.accepted.map(({ index }) => index)).toEqual([2, 0, 1]);
});

test('with route_moves: convert the old route gets a delete first, then the new one an insert', async () => {
  const h = routedIntake(
    {
      settings: { routeMoves: 'convert' },
      answer: ({ action }: Message, attempt) => (action === 'delete' && attempt < 3 ? REFUSED : 'delivered'),
    },
    [
      insertMessage(1, ['1', 'eu', 'n']),
      updateMessage(1, ['1', 'us', 'm'], full('1', 'eu', 'n')),
      updateMessage(1, ['1', 'us', 'o'], full('1', 'us', 'm')),
    ],
  );
  await h.walk();
  expect(sent(h)).toEqual(['q-eu insert', 'q-eu delete', 'q-us insert', 'q-us update']);
  const bodies = h.bodies() as unknown as Row[];
  expect(bodies.map(({ record, metadata }) => [record, metadata.moved, metadata.key_change])).toEqual([
    [{ id: '1', region: 'eu', note: 'n' }, undefined, undefined],
    [{ id: '1', region: 'eu', note: 'n' }, 'out', undefined],
    [{ id: '1', region: 'us', note: 'm' }, 'in', undefined],
    [{ id: '1', region: 'us', note: 'o' }, undefined, undefined],
  ]);
  await h.drained();
  expect(h.endpoint.accepted.map(({ body }) => (JSON.parse(body) as Row).action)).toEqual([
    'insert',
    'delete',
    'insert',
    'update',
  ]);
});

test('a move that changes the key too is sent in order over both groups', async () => {
  const answer = ({ action }: Message, attempt: number) =>
    action === 'delete' && attempt < 3 ? REFUSED : 'delivered';
  const rows = [updateMessage(1, ['2', 'us', 'm'], full('1', 'eu', 'n'))];
  const h = routedIntake({ settings: { routeMoves: 'convert' }, answer }, rows);
  await h.walk();
  expect(sent(h)).toEqual(['q-eu delete', 'q-us insert']);
  await h.drained();
  expect(h.endpoint.accepted.map(({ body }) => (JSON.parse(body) as Row).action)).toEqual([
    'delete',
    'insert',
  ]);
});

test.each(['update', 'split'] as const)(
  'a row that goes elsewhere is sent though it leaves the watched columns as they were; key_changes: %s',
  async (keyChanges) => {
    const rules = {
      place: 'tailrace.yaml:8:9  sinks[users].tables[public.t1]',
      ...NO_RULES,
      onlyWhenChanged: { columns: ['note'], whenUnknown: 'refuse' },
    } as const;
    const tables = [{ pattern: tablePattern({ schema: 'public', table: 't1' }), rules }];
    const settings = { routeMoves: 'convert', keyChanges, tables } as const;
    const h = routedIntake({ settings, ports: { steps: { changed: changedStep(settings)! } } }, [
      updateMessage(1, ['1', 'us', 'n'], full('1', 'eu', 'n')),
      updateMessage(1, ['1', 'us', 'n'], full('1', 'us', 'n')),
      updateMessage(1, ['2', 'us', 'n'], full('1', 'us', 'n')),
      updateMessage(1, ['3', 'eu', 'n'], full('2', 'us', 'n')),
    ]);
    await h.walk();
    const key = keyChanges === 'split' ? ['q-us delete', 'q-us insert'] : ['q-us update'];
    expect(sent(h)).toEqual(['q-eu delete', 'q-us insert', ...key, 'q-us delete', 'q-eu insert']);
    expect(h.counts.filtered).toBe(1);
    const ids = h.bodies().map((body) => (body as unknown as Row).record.id);
    expect(ids).toEqual(['1', '1', ...(keyChanges === 'split' ? ['1', '2'] : ['2']), '2', '3']);
  },
);

const CONVERT = { settings: { routeMoves: 'convert' } } as const;
/** Where each message goes, as what, and why not. */
const told = (h: ReturnType<typeof routedIntake>): string[] =>
  h.letIn().map(({ routeQueue, route, action, moved, part, refusal }) => {
    const where = routeQueue.isNowhere ? `${refusal?.code}` : route;
    return [where, action, moved, part].filter((word) => word !== undefined).join(' ');
  });

test.each([
  ['NULL', null, 'ROUTE_VALUE_NULL', {}],
  ['no name', 'a/b', 'ROUTE_VALUE_UNFIT', {}],
  [
    'too long with the rest',
    'x'.repeat(64),
    'ROUTE_VALUE_UNFIT',
    { template: 'a-queue-with-a-long-name-${row.region}' },
  ],
  ['not allowed', 'secret', 'ROUTE_NOT_ALLOWED', { template: '${row.region}', allowed: ['eu', 'us'] }],
] as const)(
  'a row whose route comes to be none is deleted where it was, and its insert is a dead letter: %s',
  async (_, value, code, options) => {
    const h = routedIntake({ ...CONVERT, ...options }, [
      insertMessage(1, ['1', 'eu', 'n']),
      updateMessage(1, ['1', value, 'm'], full('1', 'eu', 'n')),
      updateMessage(1, ['1', value, 'o'], full('1', value, 'm')),
      deleteMessage(1, full('1', value, 'o')),
    ]);
    await h.walk();
    const eu = (options as Options).template?.replace('${row.region}', 'eu') ?? 'q-eu';
    expect(told(h)).toEqual([
      `${eu} insert`,
      `${eu} delete out delete`,
      `${code} insert in insert`,
      `${code} update`,
      `${code} delete`,
    ]);
    await h.drained();
    expect(h.endpoint.accepted.map(({ body }) => (JSON.parse(body) as Row).action)).toEqual([
      'insert',
      'delete',
    ]);
    expect(h.dead.map((letter) => letter.code)).toEqual([code, code, code]);
  },
);

test.each([
  ['NULL', null, {}],
  ['no name', 'a/b', {}],
  ['too long with the rest', 'x'.repeat(64), { template: 'a-queue-with-a-long-name-${row.region}' }],
  ['not allowed', 'secret', { template: '${row.region}', allowed: ['eu', 'us'] }],
] as const)('a row that had no route is an insert where it gets one: %s', async (_, value, options) => {
  const h = routedIntake({ ...CONVERT, ...options }, [
    updateMessage(1, ['1', 'eu', 'm'], full('1', value, 'n')),
    updateMessage(1, ['1', 'us', 'm'], full('1', 'eu', 'm')),
  ]);
  await h.walk();
  const [eu, us] = ['eu', 'us'].map(
    (region) => (options as Options).template?.replace('${row.region}', region) ?? `q-${region}`,
  );
  expect(told(h)).toEqual([`${eu} insert in insert`, `${eu} delete out delete`, `${us} insert in insert`]);
  const [first] = h.bodies() as unknown as Row[];
  expect([first!.action, first!.record]).toEqual(['insert', { id: '1', region: 'eu', note: 'm' }]);
  await h.drained();
  expect(h.dead).toEqual([]);
});

test('a row that gets a route and another key at once is one insert, behind what came of its old key', async () => {
  for (const keyChanges of ['update', 'split'] as const) {
    const order: number[] = [];
    const h = routedIntake(
      {
        settings: { routeMoves: 'convert', keyChanges },
        onSettled: (messages) => order.push(...messages.map(({ index }) => index)),
        answer: ({ position }: Message, attempt) =>
          position.index === 0 && attempt < 3 ? REFUSED : 'delivered',
      },
      [
        insertMessage(1, ['1', 'us', 'n']),
        updateMessage(1, ['1', null, 'n'], full('1', 'us', 'n')),
        updateMessage(1, ['2', 'eu', 'n'], full('1', null, 'n')),
      ],
    );
    await h.walk();
    expect(told(h)).toEqual([
      'q-us insert',
      'q-us delete out delete',
      'ROUTE_VALUE_NULL insert in insert',
      'q-eu insert in insert',
    ]);
    await h.drained();
    expect(order).toEqual([0, 1, 1, 2]);
  }
});

test('an insert that got its route and was settled before a restart is not sent again', async () => {
  const isPartDone = (_: unknown, index: number, part: string): boolean => index === 0 && part === 'insert';
  const rows = [updateMessage(1, ['1', 'us', 'm'], full('1', null, 'n')), insertMessage(1, ['2', 'us', 'n'])];
  const h = routedIntake({ ...CONVERT, ports: { isPartDone } }, rows);
  await h.walk();
  expect(told(h)).toEqual(['q-us insert']);
});

test('rows that leave for no route count once each among those without one', async () => {
  const rows = Array.from({ length: 1002 }, (_, i) =>
    updateMessage(1, [String(i), null, 'n'], full(String(i), 'eu', 'n')),
  );
  const h = routedIntake(CONVERT, rows);
  await expect(h.walk()).rejects.toMatchObject({ code: 'UNROUTED_TOO_OFTEN' });
  // Of the one too many both have come.
  expect(h.letIn()).toHaveLength(2002);
  await h.drained();
});

test('an update of a row without a route, before and after, is a dead letter as it is', async () => {
  const h = routedIntake(CONVERT, [updateMessage(1, ['1', 'a/b', 'm'], full('1', null, 'n'))]);
  await h.walk();
  expect(told(h)).toEqual(['ROUTE_VALUE_UNFIT update']);
});

test('the halves of a move to no route keep the keys of any move, and the letter is the insert', async () => {
  const ordinary = routedIntake(CONVERT, [updateMessage(1, ['1', 'us', 'm'], full('1', 'eu', 'n'))]);
  const leaving = routedIntake(CONVERT, [updateMessage(1, ['1', null, 'm'], full('1', 'eu', 'n'))]);
  const entering = routedIntake(CONVERT, [updateMessage(1, ['1', 'us', 'm'], full('1', null, 'n'))]);
  const keys = await Promise.all(
    [ordinary, leaving, entering].map(async (h) => {
      await h.walk();
      return h.letIn().map(({ idempotencyKey }) => idempotencyKey);
    }),
  );
  expect(keys[0]).toHaveLength(2);
  expect(keys[1]).toEqual(keys[0]);
  expect(keys[2]).toEqual([keys[0]![1]]);
  await leaving.drained();
  expect(leaving.dead.map(({ message }) => [message.action, message.route])).toEqual([
    ['insert', 'q-${row.region}'],
  ]);
});

test('a cure by the replica identity is said where the value was not sent, and nowhere else', async () => {
  const h = routedIntake({}, [insertMessage(1, ['1', null, 'n']), insertMessage(1, ['2', 'a/b', 'n'])]);
  await h.walk();
  const hints = h.letIn().map(({ refusal }) => refusal!.hint);
  expect(hints).toHaveLength(2);
  expect(hints.join()).not.toContain('REPLICA IDENTITY');
});

test('a route by a column of which the mask leaves nothing halts before the first row', async () => {
  const rules = {
    place: 'tailrace.yaml:8:9  sinks[users].tables[public.t1]',
    ...NO_RULES,
    mask: new Map([['region', { kind: 'redact' } as const]]),
  } as const;
  const tables = [{ pattern: tablePattern({ schema: 'public', table: 't1' }), rules }];
  const h = routedIntake({ settings: { tables } }, [insertMessage(1, ['1', 'eu', 'n'])]);
  await expect(h.walk()).rejects.toMatchObject({ code: 'ROUTE_COLUMN_MASKED' });
});

test('where nobody knows of the old route an update is sent as it is', async () => {
  const h = routedIntake({ settings: { routeMoves: 'convert' }, identity: 'd' }, [
    updateMessage(1, ['1', 'us', 'm']),
    updateMessage(1, ['2', 'us', 'm'], { kind: 'key', row: ['1', null, null] }),
  ]);
  await h.walk();
  expect(sent(h)).toEqual(['q-us update', 'q-us update']);
});

test('the halves of a move that were settled before a restart are not sent again', async () => {
  const isPartDone = (_: unknown, index: number, part: string): boolean => index === 0 && part === 'delete';
  const rows = [updateMessage(1, ['1', 'us', 'm'], full('1', 'eu', 'n'))];
  const h = routedIntake({ settings: { routeMoves: 'convert' }, ports: { isPartDone } }, rows);
  await h.walk();
  expect(sent(h)).toEqual(['q-us insert']);
});

test('a parked move is rendered again as what it was', async () => {
  const rows = Array.from({ length: 40 }, (_, i) => {
    const [from, to] = i % 2 === 0 ? ['eu', 'us'] : ['us', 'eu'];
    return updateMessage(1, ['1', to, `n${i + 1}`], full('1', from, `n${i}`));
  });
  const h = routedIntake({ settings: { routeMoves: 'convert' } }, rows);
  await h.walk();
  expect(h.unsettled.room.parked).toBeGreaterThan(20);
  await h.drained();
  const bodies = h.endpoint.accepted.map(
    ({ body }) => JSON.parse(body) as Row & { record: { note: string } },
  );
  expect(bodies.map(({ action, record, metadata }) => [action, record.note, metadata.moved])).toEqual(
    Array.from({ length: 40 }, (_, i) => [
      ['delete', `n${i}`, 'out'],
      ['insert', `n${i + 1}`, 'in'],
    ]).flat(),
  );
});

test('a group that needs a value of the row has its default, or the row is a dead letter', async () => {
  const rows = [insertMessage(1, ['1', 'eu', 'a']), insertMessage(1, ['2', 'eu', null])];
  const h = routedIntake({ groupTemplate: 'g-${row.note}' }, rows);
  await h.walk();
  expect(h.letIn().map(({ groupId, refusal }) => [groupId, refusal?.code])).toEqual([
    ['g-a', undefined],
    ['g-', 'GROUP_VALUE_ABSENT'],
  ]);
  const defaulted = routedIntake({ groupTemplate: 'g-${row.note:-none}' }, rows);
  await defaulted.walk();
  expect(defaulted.letIn().map(({ groupId, refusal }) => [groupId, refusal?.code])).toEqual([
    ['g-a', undefined],
    ['g-none', undefined],
  ]);
});

test('where most rows have no route the sink is held at the row behind: of a change that is two messages both have come', async () => {
  const withoutRoute = (count: number, row: (i: number) => Buffer) =>
    Array.from({ length: count }, (_, i) => row(i));
  const inserts = withoutRoute(1002, (i) => insertMessage(1, [String(i), null, 'n']));
  const routed = insertMessage(1, ['x', 'eu', 'n']);
  const h = routedIntake({}, [routed, ...inserts, routed]);
  await expect(h.walk()).rejects.toMatchObject({
    code: 'UNROUTED_TOO_OFTEN',
    mend: 'resume',
    message: expect.stringMatching(/region is NULL.*waits at the change/s),
    hint: expect.stringContaining('tailrace resume'),
  });
  expect(h.letIn()).toHaveLength(1002);
  await h.drained();
  expect(h.dead).toHaveLength(1001);
  // Rows that move are two messages, of which none may be left behind.
  const moved = withoutRoute(1100, (i) => updateMessage(1, [String(i), '', 'n'], full('y', '', 'n')));
  const split = routedIntake({ settings: { keyChanges: 'split' } }, moved);
  await expect(split.walk()).rejects.toMatchObject({ code: 'UNROUTED_TOO_OFTEN' });
  expect(split.letIn().length % 2).toBe(0);
  await split.drained();
  // As many with a route: these are the rows' own faults.
  const mixed = routedIntake(
    {},
    inserts.flatMap((row) => [row, routed, routed]),
  );
  await mixed.walk();
  await mixed.drained();
  expect(mixed.dead).toHaveLength(1002);
});

// A sink whose rows decide where they go, and which wants to know their keys: intake, dispatcher and replays with it.
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createRowEvent, type Relation } from '../../../src/core/change.ts';
import type { Message } from '../../../src/core/message.ts';
import type { Outcome } from '../../../src/core/errors.ts';
import { formats } from '../../../src/formats/registry.ts';
import { buildRelation } from '../../../src/pgoutput/enrichment.ts';
import { decodeRelation, MESSAGE } from '../../../src/pgoutput/messages.ts';
import { SinkMarkers } from '../../../src/pipeline/intake/markers.ts';
import { RowIntake } from '../../../src/pipeline/intake/row-intake.ts';
import { RowRoutes } from '../../../src/pipeline/intake/row-routes.ts';
import { compileTablePlan } from '../../../src/pipeline/intake/table-plan.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { compileColumn } from '../../../src/postgres/values/values.ts';
import type { Route, RouteByRow, Sink } from '../../../src/sinks/sink.ts';
import { ENVELOPE, TRANSACTION } from '../../support/decode.ts';
import { createDelivery, createDispatcher, REFUSED, routeTo } from '../../support/dispatcher.ts';
import { bodyOf } from '../../support/messages.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
  type Cell,
} from '../../support/pgoutput-messages.ts';
import { waitFor } from '../../support/wait.ts';

const relation: Relation = buildRelation(
  decodeRelation(
    relationMessage({
      id: 7,
      schema: 'public',
      table: 'orders',
      identity: 'f',
      columns: ['id', 'tenant', 'note'].map((name) => ({ name, type: 25, identity: true })),
    }),
    0,
  ),
  undefined,
);
const keyed: Relation = { ...relation, replicaIdentity: 'default', key: ['id'] };

type RouteFound = ReturnType<RouteByRow['idOf']>;
type Topic = { readonly tenant: string };

/** Each tenant has a topic; what a TRUNCATE or an unknown tenant goes to is called `all`. */
const byTenant: RouteByRow<Topic> = {
  groupTemplate: undefined,
  idOf: (row) => row?.text('tenant') ?? 'all',
  open: (id) => ({ ...routeTo(id, { batchBytes: 100_000, messageBytes: 10_000 }), target: { tenant: id } }),
};

type Arrived = {
  tenant: string;
  action: string;
  id: unknown;
  key: unknown;
  unchanged: unknown;
  committed: unknown;
};

function harness(
  options: { refuse?: (message: Message, tries: number) => boolean; keyChanges?: 'split' } = {},
) {
  const arrived: Arrived[] = [];
  const tries = new Map<string, number>();
  const frames = new Map<number, Buffer>();
  const sink: Pick<Sink<Topic>, 'deliver' | 'sizeOf' | 'routeOf' | 'routeByRow' | 'wantsRow'> = {
    wantsRow: true,
    routeOf: () => undefined,
    routeByRow: () => byTenant,
    sizeOf: (message) => message.jsonBytes,
    deliver: async (batch, _signal, { target }: Route<Topic>) => {
      await new Promise((done) => setImmediate(done));
      return batch.map((message): Outcome => {
        const attempt = (tries.get(message.idempotencyKey) ?? 0) + 1;
        tries.set(message.idempotencyKey, attempt);
        if (options.refuse?.(message, attempt) === true) return REFUSED;
        const { record } = JSON.parse(bodyOf(message)) as { record: { id?: string } };
        arrived.push({
          tenant: target.tenant,
          action: message.action,
          id: record.id,
          key: message.row?.key.map(({ text }) => text),
          unchanged: message.row?.unchangedColumns,
          committed: message.commitTimeUs,
        });
        return 'delivered';
      });
    },
  };
  const delivery = createDelivery();
  const settings = {
    selection: {},
    tables: [],
    actions: ['insert', 'update', 'delete', 'truncate'],
    messageGrouping: true,
    backfill: {},
    keyChanges: options.keyChanges ?? 'update',
    formatOptions: {},
    values: formats.sequin.values,
  } as unknown as SinkSettings;
  const values = { ...formats.sequin.values, zonelessTimestampZ: false };
  const intake = new RowIntake({
    sink: 'test',
    unsettled: delivery.unsettled,
    compile: (described) =>
      compileTablePlan(described, settings, {
        sink,
        format: formats.sequin,
        envelope: ENVELOPE,
        compileColumn: (column, { types }) => compileColumn(column, types, values),
        routes: delivery.routes,
        barriers: delivery.barriers,
      }),
    isDone: () => false,
    isPartDone: () => false,
    markers: new SinkMarkers({
      sink: 'orders',
      heedsSkips: false,
      keep: () => undefined,
      logger: pino({ enabled: false }),
    }),
    staysLong: false,
    readFrames: (offset) => frames.get(offset)!,
    steps: {},
    counts: delivery.counts,
  });
  intake.relation(keyed);
  const dispatcher = createDispatcher(delivery, sink, {
    prepare: (messages) => messages.forEach((message) => intake.renderParked(message)),
  });
  const transaction = { ...TRANSACTION, key: 't' };
  let index = 0;
  const next = (bytes: Buffer) => {
    const offset = index;
    frames.set(offset, bytes);
    const kind = bytes[0]!;
    return {
      relationId: 7,
      kind,
      bytes,
      start: 0,
      end: bytes.length,
      offset,
      transaction,
      index: index++,
      rawBytes: 0,
      kept: undefined,
    };
  };
  return {
    arrived,
    delivery,
    row: (bytes: Buffer) => intake.row(next(bytes)),
    truncate: () => intake.truncate({ ...next(Buffer.from([MESSAGE.truncate])) }),
    drained: async () => {
      dispatcher.dispatch();
      await waitFor(() => delivery.unsettled.oldest === undefined, 'everything to settle');
    },
  };
}

const full = (...row: Cell[]) => ({ kind: 'full', row }) as const;

test('each row goes where it says, with its key, its commit time and what it leaves out', async () => {
  const h = harness();
  h.row(insertMessage(7, ['1', 'a', 'n']));
  h.row(insertMessage(7, ['2', 'b', null]));
  h.row(updateMessage(7, ['1', 'a', UNCHANGED]));
  h.row(deleteMessage(7, full('2', 'b', null)));
  h.row(insertMessage(7, ['3', null, 'n']));
  h.truncate();
  await h.drained();
  const committed = TRANSACTION.commitTimeUs;
  const known = (tenant: string, action: string, id: string, unchanged: string[] = []): Arrived => ({
    tenant,
    action,
    id,
    key: [id],
    unchanged,
    committed,
  });
  expect(h.arrived.filter(({ tenant }) => tenant === 'a')).toEqual([
    known('a', 'insert', '1'),
    known('a', 'update', '1', ['note']),
  ]);
  expect(h.arrived.filter(({ tenant }) => tenant === 'b')).toEqual([
    known('b', 'insert', '2'),
    known('b', 'delete', '2'),
  ]);
  expect(h.arrived.filter(({ tenant }) => tenant === 'all')).toEqual([
    known('all', 'insert', '3'),
    { tenant: 'all', action: 'truncate', id: undefined, key: undefined, unchanged: undefined, committed },
  ]);
  expect([...h.delivery.routes.all()].map(({ id }) => id)).toEqual(['a', 'b', 'all']);
});

test('a row that moves to another route stays behind what was sent of it before', async () => {
  const h = harness({ refuse: ({ position }, tries) => position.index === 0 && tries < 3 });
  h.row(insertMessage(7, ['1', 'a', 'n']));
  h.row(updateMessage(7, ['1', 'b', 'n'], full('1', 'a', 'n')));
  h.row(deleteMessage(7, full('1', 'b', 'n')));
  await h.drained();
  expect(h.arrived.map(({ tenant, action }) => [tenant, action])).toEqual([
    ['a', 'insert'],
    ['b', 'update'],
    ['b', 'delete'],
  ]);
});

test('of a change in two halves each goes where its own row says', async () => {
  const h = harness({ keyChanges: 'split' });
  h.row(updateMessage(7, ['2', 'b', 'n'], full('1', 'a', 'n')));
  await h.drained();
  expect(h.arrived.map(({ tenant, action, key }) => [tenant, action, key])).toEqual([
    ['a', 'delete', ['1']],
    ['b', 'insert', ['2']],
  ]);
});

test('what was parked knows its route from before, and its key when it is rendered', async () => {
  const h = harness({ refuse: ({ position }, tries) => position.index === 0 && tries < 2 });
  const count = 40;
  for (let i = 0; i < count; i++) h.row(insertMessage(7, ['1', i % 2 === 0 ? 'a' : 'b', 'n']));
  expect(h.delivery.unsettled.room.parked).toBe(count - 32);
  await h.drained();
  expect(h.arrived.map(({ tenant }) => tenant)).toEqual(Array.from({ length: count }, (_, i) => 'ab'[i % 2]));
  expect(h.arrived.every(({ key }) => JSON.stringify(key) === '["1"]')).toBe(true);
});

test('an update is no move where one of its two routes is not known', () => {
  const { routes } = createDelivery();
  const fault = (code: string) => ({ id: 'q-${row.x}', code, hint: '' });
  const [absent, none] = [fault('ROUTE_VALUE_ABSENT'), fault('ROUTE_VALUE_NULL')];
  const moveOf = (...[before, now]: readonly [RouteFound, RouteFound]) => {
    const ids = [before, now];
    const by: RouteByRow = { ...byTenant, idOf: () => ids.shift()! };
    const input = { schema: 'public', table: 'orders', action: 'update' } as const;
    return new RowRoutes(relation, input, { by, routes, masks: new Map() }).moveOf(createRowEvent());
  };
  expect([moveOf('a', absent), moveOf(absent, 'a'), moveOf(none, absent), moveOf(absent, none)]).toEqual(
    Array.from({ length: 4 }, () => undefined),
  );
  expect([moveOf('a', none), moveOf(none, 'a'), moveOf('a', 'b'), moveOf('a', 'a')]).toEqual([
    'moves',
    'enters',
    'moves',
    undefined,
  ]);
});

// Rows that leave what a filter names, and rows that enter it (`where_moves: convert`): what is sent, in which group, on which route.
import { expect, test } from 'vitest';
import { tablePattern } from '../../../src/core/selection.ts';
import type { RouteByRow } from '../../../src/sinks/sink.ts';
import { DOWN, routeTo } from '../../support/dispatcher.ts';
import { convertingIntake, type Body } from '../../support/filtered-intake.ts';
import {
  deleteMessage,
  insertMessage,
  UNCHANGED,
  updateMessage,
  type Cell,
} from '../../support/pgoutput-messages.ts';

const bodies = (h: { bodies(): Record<string, unknown>[] }): Body[] => h.bodies() as Body[];
const summary = ({ action, record, metadata }: Body): unknown[] => [action, record, metadata['moved']];

const full = (row: readonly Cell[]) => ({ kind: 'full', row }) as const;
const inside = (id: string): Cell[] => [id, `code ${id}`, '20', 'a'];
const outside = (id: string): Cell[] => [id, `code ${id}`, '5', 'b'];

test('a row that leaves is a delete with the old row, one that enters an insert, and the metadata says which', async () => {
  const h = convertingIntake({ where: 'size > 10' }, [
    updateMessage(1, outside('1'), full(inside('1'))),
    updateMessage(1, inside('2'), full(outside('2'))),
    updateMessage(1, inside('3'), full([...inside('3').slice(0, 3), 'before'])),
    updateMessage(1, outside('4'), full(outside('4'))),
    deleteMessage(1, full(outside('5'))),
    updateMessage(1, inside('6'), full(['6', null, null, null])),
  ]);
  await h.walk();
  expect(bodies(h).map(summary)).toEqual([
    ['delete', { id: 1, code: 'code 1', size: 20, note: 'a' }, 'out'],
    ['insert', { id: 2, code: 'code 2', size: 20, note: 'a' }, 'in'],
    ['update', { id: 3, code: 'code 3', size: 20, note: 'a' }, undefined],
    ['insert', { id: 6, code: 'code 6', size: 20, note: 'a' }, 'in'],
  ]);
  expect(bodies(h).map(({ changes }) => changes)).toEqual([null, null, { note: 'before' }, null]);
  expect(h.letIn().map(({ action, index }) => `${action} ${index}`)).toEqual([
    'delete 0',
    'insert 1',
    'update 2',
    'insert 5',
  ]);
  expect(h.counts.filtered).toBe(2);
});

test('the format pg2sqs says which of the two it is, and no more', async () => {
  const settings = { format: 'pg2sqs', formatOptions: {} } as const;
  const sink = { actionsAt: () => ['insert', 'update', 'delete'] as const };
  const h = convertingIntake({ where: 'size > 10', settings, sink }, [
    updateMessage(1, outside('1'), full(inside('1'))),
    updateMessage(1, inside('2'), full(outside('2'))),
  ]);
  await h.walk();
  expect(h.bodies()).toEqual([
    { id: 1, code: 'code 1', size: 20, note: 'a', kind: 'delete' },
    { id: 2, code: 'code 2', size: 20, note: 'a', kind: 'insert' },
  ]);
});

test('without an old row what does not match is a delete by its key alone, and what matches stays an update', async () => {
  const h = convertingIntake({ where: 'size > 10', identity: 'd' }, [
    updateMessage(1, outside('1')),
    updateMessage(1, inside('2')),
    deleteMessage(1, { kind: 'key', row: ['3', null, null, null] }),
    // A changed key.
    updateMessage(1, outside('5'), { kind: 'key', row: ['4', null, null, null] }),
    updateMessage(1, inside('7'), { kind: 'key', row: ['6', null, null, null] }),
  ]);
  await h.walk();
  expect(bodies(h).map(summary)).toEqual([
    ['delete', { id: 1 }, 'out'],
    ['update', { id: 2, code: 'code 2', size: 20, note: 'a' }, undefined],
    ['delete', { id: 3 }, undefined],
    ['delete', { id: 4 }, 'out'],
    ['update', { id: 7, code: 'code 7', size: 20, note: 'a' }, undefined],
  ]);
  expect(bodies(h)[0]!.metadata['record_pks']).toEqual(['1']);
  expect(JSON.stringify(bodies(h)[3])).not.toMatch(/"5"|:5\b/);
});

test('of a row whose partition sends less than the table above it, nothing of the old one is known', async () => {
  const h = convertingIntake({ where: 'size > 10', identity: 'f' }, [
    updateMessage(1, outside('1')),
    updateMessage(1, inside('2')),
  ]);
  await h.walk();
  expect(bodies(h).map(summary)).toEqual([
    ['delete', { id: 1 }, 'out'],
    ['update', { id: 2, code: 'code 2', size: 20, note: 'a' }, undefined],
  ]);
});

test('a filter on the key alone is judged before and after under every identity', async () => {
  const h = convertingIntake({ where: 'id < 10', identity: 'd' }, [
    updateMessage(1, outside('3')),
    updateMessage(1, inside('30')),
    updateMessage(1, inside('30'), { kind: 'key', row: ['3', null, null, null] }),
    updateMessage(1, ['4', 'code 4', UNCHANGED, 'a'], { kind: 'key', row: ['40', null, null, null] }),
  ]);
  await h.walk();
  expect(bodies(h).map(summary)).toEqual([
    ['update', { id: 3, code: 'code 3', size: 5, note: 'b' }, undefined],
    ['delete', { id: 3 }, 'out'],
    ['insert', { id: 4, code: 'code 4', note: 'a' }, 'in'],
  ]);
  // What the consumer never had is absent, and named.
  expect(bodies(h)[2]!.metadata['unchanged_columns']).toEqual(['size']);
});

test('a changed key that is sent as two messages is one where only one of the rows is inside, and nothing tells of the other', async () => {
  const settings = { keyChanges: 'split' } as const;
  const h = convertingIntake({ where: 'size > 10', settings }, [
    updateMessage(1, inside('2'), full(inside('1'))),
    updateMessage(1, outside('4'), full(inside('3'))),
    updateMessage(1, inside('6'), full(outside('5'))),
    updateMessage(1, outside('8'), full(outside('7'))),
  ]);
  await h.walk();
  const keys = ({ action, record, metadata }: Body) => [action, record['id'], metadata['moved']];
  expect(bodies(h).map(keys)).toEqual([
    ['delete', 1, undefined],
    ['insert', 2, undefined],
    ['delete', 3, 'out'],
    ['insert', 6, 'in'],
  ]);
  expect(bodies(h).map(({ metadata }) => metadata['key_change'] !== undefined)).toEqual([
    true,
    true,
    false,
    false,
  ]);
});

test('an error in the old row leaves it unknown; one in the new row is a dead letter', async () => {
  const h = convertingIntake({ where: '100 / size > 0' }, [
    updateMessage(1, ['1', 'a', '20', 'a'], full(['1', 'a', '0', 'a'])),
    updateMessage(1, ['2', 'a', '500', 'a'], full(['2', 'a', '0', 'a'])),
    updateMessage(1, ['3', 'a', '0', 'a'], full(['3', 'a', '20', 'a'])),
  ]);
  await h.walk();
  expect(bodies(h).map(({ action }) => action)).toEqual(['update', 'delete', 'update']);
  await h.drained();
  expect(h.dead.map(({ message, code }) => `${message.index} ${code}`)).toEqual(['2 WHERE_ERROR']);
});

test('a delete stands in the group and on the route of the old row, and what follows in the new group waits for it', async () => {
  const byRow: RouteByRow = {
    idOf: (row) => String(row?.text('note')),
    open: (id) => routeTo(id, { batchBytes: 1 << 20, messageBytes: 1 << 20 }),
    groupTemplate: undefined,
  };
  const sink = { routeByRow: () => byRow };
  const tables = [{ pattern: tablePattern({ schema: 'public', table: 't1' }), groupColumns: ['note'] }];
  let isDown = true;
  const h = convertingIntake(
    {
      where: 'size > 10',
      settings: { tables },
      sink,
      answer: ({ route }) => (isDown && route === 'old' ? DOWN : 'delivered'),
    },
    [
      updateMessage(1, ['1', 'c', '5', 'new'], full(['1', 'c', '20', 'old'])),
      updateMessage(1, ['1', 'c', '30', 'new'], full(['1', 'c', '5', 'new'])),
      insertMessage(1, ['2', 'c', '30', 'other']),
    ],
  );
  await h.walk();
  expect(h.letIn().map(({ action, route, group }) => `${action} ${route} ${group}`)).toEqual([
    'delete old public.t1:old',
    'insert new public.t1:new',
    'insert other public.t1:other',
  ]);
  h.dispatcher.dispatch();
  await expect.poll(() => h.endpoint.accepted.map(({ index }) => index)).toEqual([2]);
  isDown = false;
  await h.drained();
  expect(h.endpoint.accepted.map(({ index }) => index)).toEqual([2, 0, 1]);
});

test('a converted message that waited in the log alone is rendered as it was', async () => {
  let isRefused = true;
  const h = convertingIntake(
    {
      where: 'size > 10',
      identity: 'd',
      answer: ({ position }) =>
        isRefused && position.index === 0
          ? { kind: 'retryable', scope: 'message', code: 'BUSY', hint: '', retryAfterMs: 20 }
          : 'delivered',
    },
    [insertMessage(1, inside('1')), updateMessage(1, outside('1')), updateMessage(1, inside('1'))],
  );
  await h.walk();
  h.dispatcher.dispatch();
  await expect.poll(() => h.unsettled.room.parked).toBe(2);
  isRefused = false;
  await h.drained();
  expect(h.endpoint.accepted.map(({ body }) => summary(JSON.parse(body) as Body))).toEqual([
    ['insert', { id: 1, code: 'code 1', size: 20, note: 'a' }, undefined],
    ['delete', { id: 1 }, 'out'],
    ['update', { id: 1, code: 'code 1', size: 20, note: 'a' }, undefined],
  ]);
});

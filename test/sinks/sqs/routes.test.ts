import { expect, test } from 'vitest';
import { ROW_ACTIONS, type Action } from '../../../src/core/change.ts';
import { parseTemplate, templateColumns } from '../../../src/core/template.ts';
import { columnUses } from '../../../src/core/wanted-names.ts';
import { actionsAtQueue, groupTemplates, queueRoute } from '../../../src/sinks/sqs/routes.ts';
import { parseConfig } from './fixture.ts';

const route = (destination: object, table: string, action: Action) =>
  queueRoute(parseConfig(destination), { schema: 'public', table, action });

test('an action’s own queue goes before the common one', () => {
  const destination = { queue_name: 'users.fifo', delete: { queue_name: 'users-deleted.fifo' } };
  expect(route(destination, 'users', 'insert')?.queue).toBe('users.fifo');
  expect(route(destination, 'users', 'delete')?.queue).toBe('users-deleted.fifo');
});

test('a table’s queue goes before every other one, its action’s queue before that (C236)', () => {
  const destination = {
    queue_name: 'all',
    delete: { queue_name: 'deleted' },
    tables: { 'public.orders': { queue_name: 'orders', insert: { queue_name: 'orders-new' } } },
  };
  expect(route(destination, 'orders', 'insert')?.queue).toBe('orders-new');
  expect(route(destination, 'orders', 'delete')?.queue).toBe('orders');
  expect(route(destination, 'users', 'delete')?.queue).toBe('deleted');
  expect(route(destination, 'users', 'update')?.queue).toBe('all');
});

test('a table or action may have only a group id of its own', () => {
  const destination = {
    queue_name: 'all.fifo',
    group_id: 'g',
    update: { group_id: 'u-${id}' },
    tables: { 'public.orders': { group_id: 'o-${id}' } },
  };
  expect(route(destination, 'users', 'insert')).toMatchObject({ queue: 'all.fifo', groupTemplate: 'g' });
  expect(route(destination, 'users', 'update')).toMatchObject({
    queue: 'all.fifo',
    groupTemplate: 'u-${id}',
  });
  expect(route(destination, 'orders', 'update')).toMatchObject({
    queue: 'all.fifo',
    groupTemplate: 'o-${id}',
  });
});

test('changes that no queue takes are not wanted', () => {
  const destination = { tables: { 'public.users': { insert: { queue_name: 'new-users' } } } };
  expect(route(destination, 'users', 'insert')?.queue).toBe('new-users');
  expect(route(destination, 'users', 'update')).toBeUndefined();
  expect(route(destination, 'users', 'truncate')).toBeUndefined();
  expect(route(destination, 'orders', 'insert')).toBeUndefined();
});

test('what tells of a changed schema goes to the queue of the table, and to the first there is where each action has its own', () => {
  const destination = { queue_name: 'all', insert: { queue_name: 'new' } };
  expect(route(destination, 'users', 'schema')?.queue).toBe('all');
  const apart = {
    tables: { 'public.users': { update: { queue_name: 'changed' }, delete: { queue_name: 'gone' } } },
  };
  expect(route(apart, 'users', 'schema')?.queue).toBe('changed');
  expect(route(apart, 'orders', 'schema')).toBeUndefined();
});

test('backfilled rows go where inserts go', () => {
  const destination = { queue_name: 'all', insert: { queue_name: 'new' } };
  expect(route(destination, 'users', 'read')?.queue).toBe('new');
});

test('a queue takes the row actions that go to it, and only those that the sink wants', () => {
  const destination = { queue_name: 'all', delete: { queue_name: 'deleted' } };
  const at = (action: Action, wanted?: readonly Action[]): readonly Action[] =>
    actionsAtQueue(parseConfig(destination), { schema: 'public', table: 'users', action }, wanted);
  expect(at('insert')).toEqual(['insert', 'update']);
  expect(at('read')).toEqual(['insert', 'update']);
  expect(at('delete')).toEqual(['delete']);
  expect(at('insert', ['insert', 'delete'])).toEqual(['insert']);
  expect(at('truncate', ['insert', 'truncate'])).toEqual(['insert']);
});

test('what is compared with a database before a row comes are the group ids that its rows will have', () => {
  const destination = {
    queue_name: 'all.fifo',
    group_id: 'g-${a}',
    update: { group_id: 'u-${b}' },
    tables: {
      'public.orders': { group_id: 'o-${c}', delete: { group_id: 'd-${d}' } },
      'public.items': { insert: { queue_name: 'items.fifo' } },
    },
  };
  const groups = groupTemplates(parseConfig(destination)).map(({ template, ...place }) => ({
    ...place,
    columns: templateColumns(parseTemplate(template)),
  }));
  for (const table of ['users', 'orders', 'items']) {
    for (const action of ROW_ACTIONS) {
      const sink = { name: 's', tables: [], destinationTables: [], groups, actions: [action] };
      const template = route(destination, table, action)!.groupTemplate!;
      expect(columnUses({ sink }, { schema: 'public', table }).map(({ column }) => column)).toEqual(
        templateColumns(parseTemplate(template)),
      );
    }
  }
});

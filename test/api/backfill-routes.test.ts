// Backfills over the API: what is asked for comes to the store whole, states move as they may, and what is no question is refused.
import { expect, test } from 'vitest';
import { MAX_BACKFILL_KEYS } from '../../src/core/backfill.ts';
import { TailraceError } from '../../src/core/errors.ts';
import type { BackfillWish } from '../../src/pipeline/service/backfill-check.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import { startTestApi } from '../support/api.ts';
import { testControl } from '../support/control.ts';
import { databaseSettings } from '../support/database-settings.ts';
import { sinkStatus } from '../support/status.ts';

type Answer = { readonly status: number; readonly body: Record<string, unknown> };
const PATH = '/api/databases/shop/backfills';

const sink = (name: string, limits = {}): SinkSettings =>
  ({
    name,
    database: 'shop',
    selection: {},
    tables: [],
    actions: ['insert'],
    backfill: { limits: { queryTimeoutMs: 5000, ...limits } },
  }) as unknown as SinkSettings;

/** The database finds nothing wrong unless the test says so. */
async function serve(refusal?: TailraceError) {
  const wishes: BackfillWish[] = [];
  const control = testControl({
    sinks: [sinkStatus(), sinkStatus({ name: 'audit' }), sinkStatus({ name: 'off', state: 'disabled' })],
    settings: {
      databases: [databaseSettings({ name: 'd', host: 'localhost', port: 1 })],
      sinks: [
        sink('users', { maxRowsPerSecond: 50, givesWay: false }),
        sink('audit', { queryTimeoutMs: 800 }),
        sink('off'),
      ],
    },
    checkBackfill: async (_database, wish) => {
      wishes.push(wish);
      if (refusal !== undefined) throw refusal;
      const tables = wish.tables ?? [{ schema: 'public', table: 'all' }];
      return {
        sinks: wish.sinks.map(({ name }) => name),
        tables,
        estimates: tables.map(() => 7),
        keys: [],
        notes: ['it has no key'],
      };
    },
  });
  const { url } = await startTestApi({ control });
  const ask = async (method: string, path: string, body: unknown = {}): Promise<Answer> => {
    const isPost = method === 'POST';
    const response = await fetch(`${url}${path}`, {
      method,
      ...(isPost && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const start = async (body: unknown): Promise<Record<string, unknown>> => {
    const answer = await ask('POST', PATH, body);
    expect(answer).toMatchObject({ status: 200 });
    return answer.body['backfill'] as Record<string, unknown>;
  };
  return { control, ask, start, wishes };
}

test('a backfill is started with all that is asked for, and shown as it stands', async () => {
  const { control, ask, start } = await serve();
  const tables = [
    { table: 'users', where: 'id > 3', keys: [['1'], ['2']] },
    { table: 'sales."Odd.One"', sort_column: 'at', start_position: '2026-01-01' },
  ];
  const { body } = await ask('POST', PATH, { sinks: ['users'], tables, workers: 2, max_rows_per_second: 9 });
  expect(body['notes']).toEqual(['it has no key']);
  const started = body['backfill'] as { readonly id: string };
  expect(started).toMatchObject({
    id: expect.stringMatching(/^[2-9a-z]{10}$/) as string,
    state: 'waiting',
    sinks: ['users'],
    query_timeout_ms: 5000,
    workers: 2,
    max_rows_per_second: 9,
    rows: 0,
    estimated_rows: null,
    seconds_left: null,
    tables: [
      { table: 'public.users', where: 'id > 3', keys: 2, sort_column: null },
      { table: 'sales.Odd.One', sort_column: 'at', start_position: '2026-01-01', keys: null },
    ],
  });
  expect(control.store.backfills.keys(started.id, { schema: 'public', table: 'users' })).toEqual([
    ['1'],
    ['2'],
  ]);
  expect((await ask('GET', `${PATH}/${started.id}`)).body).toEqual(started);
  // Whoever reads has heard of it.
  expect(control.asked).toEqual([['shop', 'backfills changed']]);
  const second = await start({ sinks: ['audit'] });
  const ids = async (query = ''): Promise<unknown> =>
    ((await ask('GET', `${PATH}${query}`)).body['backfills'] as { id: string }[]).map(({ id }) => id);
  expect(await ids()).toEqual([second['id'], started.id]);
  expect(await ids('?sink=users')).toEqual([started.id]);
});

test('as many keys as one backfill may have fit into a request, and one more is refused', async () => {
  const { ask, start, wishes } = await serve();
  const keys = Array.from({ length: MAX_BACKFILL_KEYS }, (_, i) => [`key-of-some-length-${i}`]);
  await start({ sinks: ['users'], tables: [{ table: 't', keys }] });
  expect(wishes[0]!.tables![0]!.keys).toHaveLength(MAX_BACKFILL_KEYS);
  const more = await ask('POST', PATH, {
    sinks: ['users'],
    tables: [{ table: 't', keys: [...keys, ['1']] }],
  });
  expect(more).toMatchObject({ status: 400 });
});

test('for all sinks it takes those that are there, with the limits that spare the database most', async () => {
  const { start, wishes } = await serve();
  expect(await start({ sinks: 'all' })).toMatchObject({
    sinks: ['users', 'audit'],
    query_timeout_ms: 800,
    max_rows_per_second: 50,
    gives_way: true,
    pace_rows_per_second: null,
    tables: [{ table: 'public.all' }],
  });
  expect(await start({ sinks: 'all', gives_way: false })).toMatchObject({ gives_way: false });
  expect(wishes[0]).toMatchObject({ areNamed: false, tables: undefined });
});

test('it is paused, resumed and cancelled, once or twice, and told when it cannot be', async () => {
  const { control, ask, start } = await serve();
  const { id } = (await start({ sinks: ['users'] })) as { id: string };
  const move = async (verb: string) => (await ask('POST', `${PATH}/${id}/${verb}`)).body['state'];
  expect(await move('pause')).toBe('paused');
  expect(await move('pause')).toBe('paused');
  expect(await move('resume')).toBe('waiting');
  control.store.backfills.setState({ database: 'shop', id }, 'running', { now: new Date() });
  expect(await move('resume')).toBe('running');
  expect(await move('cancel')).toBe('cancelled');
  expect(await move('cancel')).toBe('cancelled');
  expect(await ask('POST', `${PATH}/${id}/resume`)).toEqual({
    status: 409,
    body: {
      error: `backfill ${id} is cancelled: it cannot be resumed`,
      code: 'BACKFILL_STATE',
      hint: 'tailrace backfill start begins another one',
    },
  });
  expect(control.asked.length).toBeGreaterThan(4);
});

test('what the database refuses is answered with its reason and cure, and nothing is kept', async () => {
  const hint = 'GRANT SELECT ON "public"."users" TO "app";';
  const { ask } = await serve(
    new TailraceError('our role may not read public.users', {
      code: 'TABLE_UNREADABLE',
      kind: 'fatal',
      hint,
    }),
  );
  expect(await ask('POST', PATH, { sinks: ['users'] })).toEqual({
    status: 409,
    body: { error: 'our role may not read public.users', code: 'TABLE_UNREADABLE', hint },
  });
  expect((await ask('GET', PATH)).body).toEqual({ backfills: [] });
});

test.each<[body: unknown, status: number, message: string]>([
  [{}, 400, 'sinks'],
  [{ sinks: [] }, 400, 'sinks'],
  [{ sinks: ['usres'] }, 404, 'there is no sink "usres"; did you mean "users"?'],
  [{ sinks: ['off'] }, 409, 'sink "off" is disabled'],
  [{ sinks: ['users'], table: 'users' }, 400, 'Unrecognized key: "table"'],
  [{ sinks: ['users'], tables: [{ table: 'a.b*' }] }, 400, 'a table is named schema.table'],
  [{ sinks: ['users'], tables: [{ table: 'a', start_position: '1' }] }, 400, 'needs a sort_column'],
  [{ sinks: ['users'], tables: [{ table: 'a', keys: [1] }] }, 400, 'keys'],
  [{ sinks: ['users'], max_rows_per_second: 0 }, 400, 'max_rows_per_second'],
  [{ sinks: ['users'], workers: 17 }, 400, 'workers'],
])('%j is refused', async (body, status, message) => {
  const { ask } = await serve();
  const answer = await ask('POST', PATH, body);
  expect(answer.status).toBe(status);
  expect(answer.body['error']).toContain(message);
});

test('what is not there is not found', async () => {
  const { ask } = await serve();
  expect(await ask('GET', `${PATH}/nobody`)).toMatchObject({
    status: 404,
    body: { code: 'BACKFILL_UNKNOWN' },
  });
  expect(await ask('POST', `${PATH}/nobody/pause`)).toMatchObject({ status: 404 });
  expect(await ask('GET', '/api/databases/other/backfills')).toMatchObject({
    status: 404,
    body: { code: 'DATABASE_UNKNOWN' },
  });
});

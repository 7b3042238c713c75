import { describe, expect, test } from 'vitest';
import { TailraceError } from '../../src/core/errors.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { startTestApi } from '../support/api.ts';
import { testControl, type TestControl } from '../support/control.ts';
import { letterAt, SINK } from '../support/letters.ts';
import { sinkStatus } from '../support/status.ts';

type Answer = { readonly status: number; readonly body: Record<string, unknown> };
type Asking = {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

async function serve(
  control: TestControl = testControl(),
  how: { readonly host?: string; readonly tokens?: readonly string[] } = {},
) {
  const { url, metricsUrl } = await startTestApi({ control, hasMetrics: true, ...how });
  return {
    metricsUrl: metricsUrl!,
    ask: async (method: string, path: string, { body, headers }: Asking = {}): Promise<Answer> => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
  };
}

describe('who may', () => {
  test('beyond loopback everything here needs the token', async () => {
    const { ask } = await serve(testControl(), { host: '0.0.0.0', tokens: ['secret'] });
    expect(await ask('GET', '/api/sinks')).toEqual({ status: 401, body: { error: 'this needs a token' } });
    const wrong = { headers: { authorization: 'Bearer guess' } };
    expect((await ask('GET', '/api/sinks', wrong)).status).toBe(401);
    const right = { headers: { authorization: 'Bearer secret' } };
    expect((await ask('GET', '/api/sinks', right)).status).toBe(200);
  });

  test('a web page elsewhere drives nothing: its origin is refused, and so is a body that is not said to be JSON', async () => {
    const control = testControl();
    const { ask } = await serve(control);
    const body = '{"status":"paused"}';
    const elsewhere = { body, headers: { origin: 'http://evil.example' } };
    expect((await ask('PATCH', '/api/sinks/users', elsewhere)).status).toBe(403);
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      const form = { body, headers: { 'content-type': type } };
      expect((await ask('POST', '/api/sinks/users/rewind', form)).status).toBe(400);
    }
    expect((await ask('POST', '/api/sinks/users/dead_letters/discard')).status).toBe(400);
    expect(control.asked).toEqual([]);
  });

  test('the metrics listener shows and changes nothing of this', async () => {
    const { metricsUrl } = await serve();
    expect((await fetch(`${metricsUrl}/health`)).status).toBe(200);
    expect((await fetch(`${metricsUrl}/api/sinks`)).status).toBe(404);
  });
});

describe('sinks', () => {
  const two = [sinkStatus(), sinkStatus({ database: 'crm' }), sinkStatus({ name: 'orders' })];

  test('are shown as in the health document', async () => {
    const { ask } = await serve(testControl({ sinks: two }));
    const { body } = await ask('GET', '/api/sinks');
    expect(body['sinks']).toHaveLength(3);
    expect((await ask('GET', '/api/sinks/orders')).body).toMatchObject({ name: 'orders', status: 'healthy' });
  });

  test('are named by name, by database/name, or with the database beside; two of one name are told apart', async () => {
    const { ask } = await serve(testControl({ sinks: two }));
    for (const path of ['/api/sinks/crm%2Fusers', '/api/sinks/users?database=crm']) {
      expect((await ask('GET', path)).body).toMatchObject({ database: 'crm', name: 'users' });
    }
    expect(await ask('GET', '/api/sinks/users')).toMatchObject({
      status: 409,
      body: { code: 'SINK_AMBIGUOUS', hint: 'write one of shop/users, crm/users' },
    });
    expect(await ask('GET', '/api/sinks/nobody')).toMatchObject({
      status: 404,
      body: { code: 'SINK_UNKNOWN' },
    });
  });

  test('are paused where they run, and the choice is remembered', async () => {
    const control = testControl({ answer: () => ({ status: 'paused' }) });
    const { ask } = await serve(control);
    expect(await ask('PATCH', '/api/sinks/users', { body: { status: 'paused' } })).toEqual({
      status: 200,
      body: { database: 'shop', name: 'users', status: 'paused' },
    });
    expect(control.asked).toEqual([['users', { type: 'set_status', status: 'paused' }]]);
    expect(control.store.sinks.reconcile(SINK, { configured: 'active', now: new Date() })).toBe('paused');
  });

  test('that do not run yet start with the status chosen; they cannot be rewound', async () => {
    const control = testControl();
    const { ask } = await serve(control);
    expect((await ask('PATCH', '/api/sinks/users', { body: { status: 'disabled' } })).status).toBe(200);
    expect(control.asked).toEqual([['users', 'disabled']]);
    expect(await ask('POST', '/api/sinks/users/rewind', { body: { to: 'earliest' } })).toMatchObject({
      status: 503,
      body: { code: 'SINK_NOT_READY' },
    });
  });

  test('are rewound to an LSN, a time or the earliest, and say why not', async () => {
    const control = testControl({
      answer: (_sink, request) => {
        if (request.type === 'rewind' && request.to.from === 'earliest') {
          throw new TailraceError('too far', {
            code: 'REWIND_NOT_RETAINED',
            kind: 'fatal',
            hint: 'less far',
          });
        }
        return { rewinds: 2, from: '0/10', withdrawnDeadLetters: 1 };
      },
    });
    const { ask } = await serve(control);
    const rewind = (to: string) => ask('POST', '/api/sinks/users/rewind', { body: { to } });
    expect(await rewind('0/10')).toEqual({
      status: 200,
      body: { database: 'shop', name: 'users', from: '0/10', rewinds: 2, withdrawn_dead_letters: 1 },
    });
    expect((await rewind('2026-01-02T03:04:05.123456+01:00')).status).toBe(200);
    expect(control.asked.map(([, request]) => (request as { to: unknown }).to)).toEqual([
      { from: 'lsn', lsn: 16n },
      { from: 'time', timeUs: BigInt(Date.UTC(2026, 0, 2, 2, 4, 5)) * 1000n + 123_456n },
    ]);
    expect(await rewind('earliest')).toEqual({
      status: 409,
      body: { error: 'too far', code: 'REWIND_NOT_RETAINED', hint: 'less far' },
    });
    expect(await rewind('soon')).toMatchObject({ status: 400, body: { code: 'REQUEST_INVALID' } });
  });

  test('bodies that are wrong are refused with what is wrong', async () => {
    const { ask } = await serve();
    const refused = async (body: unknown) => (await ask('PATCH', '/api/sinks/users', { body })).body['error'];
    expect(await refused({ status: 'asleep' })).toContain('status');
    expect(await refused({ status: 'paused', force: true })).toContain('force');
    expect((await ask('PATCH', '/api/sinks/users', { body: '{' })).status).toBe(400);
  });
});

describe('dead letters', () => {
  const withLetters = (): TestControl => {
    const control = testControl({ answer: () => ({}) });
    control.store.sinks.started(SINK, [], { configured: 'active', now: new Date() });
    for (let i = 1; i <= 3; i++) control.store.deadLetters.add(letterAt(i), new Date(Date.UTC(2026, 0, i)));
    control.store.deadLetters.add(
      letterAt(4, { table: 'u', payload: undefined }),
      new Date(Date.UTC(2026, 0, 4)),
    );
    return control;
  };
  const path = '/api/sinks/users/dead_letters';
  const idsIn = ({ body }: Answer): unknown[] =>
    (body['dead_letters'] as { id: number }[]).map(({ id }) => id);

  test('are listed page by page and by conditions, without their payloads', async () => {
    const { ask } = await serve(withLetters());
    const page = await ask('GET', `${path}?limit=2`);
    expect(idsIn(page)).toEqual([1, 2]);
    expect(page.body['next']).toBe(2);
    expect(idsIn(await ask('GET', `${path}?limit=2&after=2`))).toEqual([3, 4]);
    expect(idsIn(await ask('GET', `${path}?table=u`))).toEqual([4]);
    expect(idsIn(await ask('GET', `${path}?since=2026-01-03T00:00:00Z&table=public.t`))).toEqual([3]);
    expect(JSON.stringify(page.body)).not.toContain('commit\\"');
    expect((await ask('GET', `${path}?since=lately`)).status).toBe(400);
  });

  test('one is shown with its payload', async () => {
    const { ask } = await serve(withLetters());
    expect((await ask('GET', `${path}/1`)).body).toMatchObject({
      id: 1,
      table: 'public.t',
      payload: '{"commit":1}',
      position: '0:0/1:0',
      reason: 'refused',
    });
    expect((await ask('GET', `${path}/4`)).body).toMatchObject({ payload: null, has_payload: false });
    expect(await ask('GET', `${path}/99`)).toMatchObject({
      status: 404,
      body: { code: 'DEAD_LETTER_UNKNOWN' },
    });
    expect((await ask('GET', `${path}/x`)).status).toBe(400);
  });

  test('of changes that the server does not have any more say so, and are sent again only by force', async () => {
    const control = testControl();
    const { ask } = await serve(control);
    for (const commit of [100, 200]) control.store.deadLetters.add(letterAt(commit), new Date());
    const parting = {
      epoch: 1,
      lsn: toLsn(150n),
      logEnd: toLsn(300n),
      timeline: 2,
      why: 'test',
      at: new Date(),
    };
    control.store.partings.add(SINK.database, parting);
    const list = (await ask('GET', path)).body as { dead_letters: { of_lost_history: boolean }[] };
    expect(list.dead_letters.map((letter) => letter.of_lost_history)).toEqual([false, true]);
    const replay = (body: unknown) => ask('POST', `${path}/replay`, { body });
    expect(await replay({ ids: [2] })).toMatchObject({
      status: 409,
      body: { code: 'DEAD_LETTER_OF_LOST_HISTORY', hint: expect.stringContaining('--force') as string },
    });
    expect((await replay({ all: true })).body).toMatchObject({ replaying: 1, of_lost_history: 1 });
    expect((await replay({ ids: [2], force: true })).body).toMatchObject({
      replaying: 1,
      of_lost_history: 0,
    });
  });

  test('are replayed by choice, with a rate; those without a payload cannot be, and it says so', async () => {
    const control = withLetters();
    const { ask } = await serve(control);
    const replay = (body: unknown) => ask('POST', `${path}/replay`, { body });
    expect(await replay({})).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining('say which') as string },
    });
    expect(await replay({ ids: [4] })).toMatchObject({
      status: 409,
      body: {
        code: 'DEAD_LETTER_WITHOUT_PAYLOAD',
        hint: expect.stringContaining('max_message_bytes') as string,
      },
    });
    expect(await replay({ all: true, per_second: 2.5 })).toEqual({
      status: 200,
      body: { replaying: 3, without_payload: 1, of_lost_history: 0, sink_state: 'running' },
    });
    expect(control.asked).toEqual([['users', { type: 'replay' }]]);
    expect(control.store.sinks.find(SINK)?.replayRate).toBe(2.5);
  });

  test('are discarded by choice', async () => {
    const control = withLetters();
    const { ask } = await serve(control);
    const discard = (body: unknown) => ask('POST', `${path}/discard`, { body });
    expect(await discard({ table: 't', since: '2026-01-02T00:00:00Z' })).toEqual({
      status: 200,
      body: { discarded: 2 },
    });
    expect((await discard({ ids: [2] })).status).toBe(404);
    expect((await discard({ all: false })).status).toBe(400);
    expect(control.store.deadLetters.counts(SINK).kept).toBe(2);
  });
});

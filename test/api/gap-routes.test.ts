import { expect, test } from 'vitest';
import { startTestApi } from '../support/api.ts';
import { declaredGap } from '../support/gaps.ts';
import { testControl, type TestControl } from '../support/control.ts';

type Answer = { readonly status: number; readonly body: Record<string, unknown> };

async function serve(tokens: readonly string[] = []) {
  const control = testControl();
  const { url } = await startTestApi({ control, tokens });
  const ask = async (method: string, path: string, headers: Record<string, string> = {}): Promise<Answer> => {
    const body = method === 'POST' ? { body: '{}' } : {};
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...(method === 'POST' ? { 'content-type': 'application/json' } : {}), ...headers },
      ...body,
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return { control, ask };
}

const declare = ({ store }: TestControl, from: string): void =>
  void store.gaps.declare(
    'shop',
    declaredGap({ from, to: '0/FF', tables: [{ schema: 'public', table: from }] }),
    new Date('2026-01-02T03:04:05Z'),
  );

test('gaps are listed page by page, and shown one by one', async () => {
  const { control, ask } = await serve();
  for (const from of ['0/1', '0/2', '0/3']) declare(control, from);
  const first = await ask('GET', '/api/databases/shop/gaps?limit=2');
  expect(first).toMatchObject({ status: 200, body: { gaps: [{ id: 1 }, { id: 2 }], next: 2 } });
  expect((await ask('GET', '/api/databases/shop/gaps?limit=2&after=2')).body).toMatchObject({
    gaps: [{ id: 3 }],
    next: null,
  });
  expect(await ask('GET', '/api/databases/shop/gaps/2')).toEqual({
    status: 200,
    body: {
      id: 2,
      name: '0/2..0/FF',
      cause: 'member_changed',
      reason: 'because',
      from: '0/2',
      to: '0/FF',
      tables: ['public.0/2'],
      sink: null,
      since: '2026-01-02T03:04:05.000Z',
      halts: true,
      accepted_at: null,
      repair: null,
      look: ['SELECT * FROM "public"."0/2" t;'],
      rereads: expect.stringContaining('every row of "public"."0/2"') as string,
    },
  });
});

test('a gap is accepted once for all, and stays on record', async () => {
  const { control, ask } = await serve();
  declare(control, '0/1');
  const accepted = await ask('POST', '/api/databases/shop/gaps/1/accept');
  expect(accepted).toMatchObject({ status: 200, body: { id: 1, accepted_at: expect.any(String) } });
  expect(control.store.gaps.unaccepted('shop')).toEqual([]);
  expect(await ask('POST', '/api/databases/shop/gaps/1/accept')).toEqual(accepted);
  expect((await ask('GET', '/api/databases/shop/gaps')).body).toMatchObject({ gaps: [accepted.body] });
});

test('what is not there, or no question, is refused with the reason', async () => {
  const { ask } = await serve();
  expect(await ask('GET', '/api/databases/other/gaps')).toMatchObject({
    status: 404,
    body: { code: 'DATABASE_UNKNOWN' },
  });
  expect(await ask('POST', '/api/databases/shop/gaps/7/accept')).toMatchObject({
    status: 404,
    body: { code: 'GAP_UNKNOWN' },
  });
  expect((await ask('GET', '/api/databases/shop/gaps/x')).status).toBe(400);
  expect((await ask('GET', '/api/databases/shop/gaps?limit=0')).status).toBe(400);
});

test('a gap is shown and accepted with a token only, and never by a form of another page', async () => {
  const { control, ask } = await serve(['secret']);
  declare(control, '0/1');
  const path = '/api/databases/shop/gaps/1/accept';
  expect((await ask('GET', '/api/databases/shop/gaps', { authorization: 'Bearer wrong' })).status).toBe(401);
  expect((await ask('POST', path, { authorization: 'Bearer wrong' })).status).toBe(401);
  const form = { authorization: 'Bearer secret', 'content-type': 'text/plain' };
  expect((await ask('POST', path, form)).status).toBe(400);
  expect(control.store.gaps.unaccepted('shop')).toHaveLength(1);
  expect((await ask('POST', path, { authorization: 'Bearer secret' })).status).toBe(200);
});

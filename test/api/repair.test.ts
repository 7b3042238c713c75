// Repairs over the API: what a gap is read again as, and which cannot be repaired now.
import { expect, test } from 'vitest';
import { readLsn } from '../../src/core/lsn.ts';
import type { LostKeys } from '../../src/pipeline/sink/rows/lost-keys.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import { startTestApi } from '../support/api.ts';
import { testControl } from '../support/control.ts';
import { databaseSettings } from '../support/database-settings.ts';
import { declaredGap } from '../support/gaps.ts';
import { look } from '../support/looks.ts';
import { sinkStatus } from '../support/status.ts';

const NOW = new Date('2026-01-02T03:04:05Z');

const sink = (name: string): SinkSettings =>
  ({ name, database: 'shop', backfill: { limits: { queryTimeoutMs: 5000 } } }) as unknown as SinkSettings;

async function serve(changes: Parameters<typeof declaredGap>[0] = {}, lost?: LostKeys) {
  const control = testControl({
    sinks: [sinkStatus(), sinkStatus({ name: 'audit' })],
    settings: {
      databases: [databaseSettings({ name: 'd', host: 'localhost', port: 1 })],
      sinks: [sink('users'), sink('audit')],
    },
    ...(lost && { answer: () => lost }),
    checkBackfill: async (_database, { sinks, tables = [{ schema: 'public', table: 'all' }] }) => ({
      sinks: sinks.map(({ name }) => name),
      tables,
      estimates: tables.map(() => 70),
      keys: tables.map(() => [{ name: 'id', type: 'int4' }]),
      notes: [],
    }),
  });
  const gap = control.store.gaps.declare('shop', declaredGap(changes), NOW);
  const { url } = await startTestApi({ control });
  const repair = async (body: unknown = {}): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await fetch(`${url}/api/databases/shop/gaps/${gap.id}/repair`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  const orphans = async (body: unknown = {}): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await fetch(`${url}/api/databases/shop/orphans/repair`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return { control, gap, repair, orphans };
}

/** Looks before and behind the gap, which is from 0/10 to 0/20. */
function lookAround({ store }: ReturnType<typeof testControl>): void {
  const at = (lsn: string, xid: bigint): void =>
    void store.looks.add(
      'shop',
      look({ walBefore: readLsn(lsn), walAfter: readLsn(lsn), xmin: xid, begun: xid }),
      true,
    );
  at('0/8', 700n);
  at('0/30', 800n);
}

test('rows of the transactions between the looks around the gap are read again, for every sink', async () => {
  const { control, gap, repair } = await serve();
  lookAround(control);
  const { status, body } = await repair();
  expect(status).toBe(200);
  expect(body).toMatchObject({
    gap: gap.id,
    sinks: ['users', 'audit'],
    tables: [
      {
        table: 'public.items',
        where: expect.stringMatching(/^\(\(r\.xmin::text::bigint - 700 [^<]* < 100 or /) as string,
        estimated_rows: 70,
      },
    ],
  });
  expect(control.store.gaps.find('shop', gap.id)?.repair).toBe(body['backfill']);
  expect(control.store.backfills.find('shop', String(body['backfill']))).toMatchObject({ state: 'waiting' });
});

test('without a look before the gap, or where that is wanted, every row is; of any table, all that the sinks take', async () => {
  const { control, repair } = await serve({ tables: undefined });
  expect((await repair({ dry_run: true })).body).toMatchObject({
    backfill: null,
    tables: [{ table: 'public.all', where: null }],
    notes: expect.arrayContaining([expect.stringContaining('every row is sent again')]) as string[],
  });
  lookAround(control);
  expect((await repair({ dry_run: true, whole: true })).body).toMatchObject({ tables: [{ where: null }] });
  expect(control.store.backfills.list('shop')).toEqual([]);
});

test('a gap of one sink is repaired for that one', async () => {
  const { repair } = await serve({ sink: 'audit', cause: 'place_lost' });
  expect((await repair()).body).toMatchObject({ sinks: ['audit'] });
});

test('a gap that goes on, or that is being repaired, is not repaired now', async () => {
  const { repair } = await serve({ to: undefined, ends: [{ when: 'publication_present' }] });
  expect(await repair()).toMatchObject({ status: 409, body: { code: 'GAP_GOES_ON' } });
  const other = await serve();
  const { body } = await other.repair();
  const id = String(body['backfill']);
  expect(await other.repair()).toMatchObject({
    status: 409,
    body: { code: 'GAP_IN_REPAIR', error: expect.stringContaining(id) as string },
  });
  other.control.backfills.move('shop', id, 'cancelled');
  expect(await other.repair()).toMatchObject({ status: 200 });
});

/** The log held what the server does not have, from where the gap begins. */
const part = ({ store }: ReturnType<typeof testControl>): void =>
  store.partings.add('shop', {
    epoch: 1,
    lsn: readLsn('0/10'),
    logEnd: readLsn('0/18'),
    timeline: 2,
    why: '',
    at: NOW,
  });

test('where a history parted in the gap, the keys of the lost one are read too, and looked for', async () => {
  const lost: LostKeys = {
    isRetained: true,
    tables: [{ schema: 'public', table: 'items', key: ['id'], keys: [['7']] }],
  };
  const { control, gap, repair, orphans } = await serve({}, lost);
  lookAround(control);
  expect(await orphans()).toMatchObject({ status: 409, body: { code: 'NO_ORPHANS' } });
  part(control);
  const { body } = await repair();
  expect(control.asked).toContainEqual([
    'users',
    { type: 'lost_keys', partings: [{ epoch: 1, lsn: readLsn('0/10') }] },
  ]);
  expect(body).toMatchObject({
    tables: [
      {
        where: expect.stringMatching(
          /xmin.*\n\) or exists \(select from \(values \('7'::int4\)\) .* where r\."id" = tailrace_k0\)$/,
        ) as string,
        looked_for: 1,
      },
    ],
    notes: expect.arrayContaining([expect.stringContaining('a history parted: 1 keys')]) as string[],
  });
  expect(
    control.store.backfills.gone(String(body['backfill']), { schema: 'public', table: 'items' }),
  ).toEqual([['7']]);
  expect(control.store.gaps.find('shop', gap.id)?.repair).toBe(body['backfill']);
  // Of no gap.
  expect((await orphans({ dry_run: true })).body).toMatchObject({
    gap: null,
    backfill: null,
    tables: [{ where: '1 keys', looked_for: 1 }],
  });
  const begun = (await orphans()).body['backfill'];
  expect(control.store.backfills.find('shop', String(begun))).toMatchObject({
    tables: [{ keyCount: 1, goneCount: 1 }],
  });
});

test('keys that a consumer has are looked for in a table of the gap, and in no other', async () => {
  const { control, repair } = await serve();
  lookAround(control);
  const keys = (table: string) => ({ keys: { table, keys: [['1'], ['2']] } });
  expect(await repair(keys('public.others'))).toMatchObject({
    status: 422,
    body: { code: 'KEYS_ELSEWHERE' },
  });
  const { body } = await repair(keys('public.items'));
  expect(body).toMatchObject({ tables: [{ looked_for: 2 }], notes: [] });
  expect(await repair({ keys: { table: 'items' } })).toMatchObject({ status: 400 });
});

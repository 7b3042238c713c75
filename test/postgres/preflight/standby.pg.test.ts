// What doctor says of a failover before it happens, at real standbys: each cure is run where it says, and mends what it names.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../../src/cli/demo/embedded-postgres.ts';
import type { Finding } from '../../../src/postgres/preflight/finding.ts';
import { inspectDatabase } from '../../../src/postgres/preflight/preflight.ts';
import type { DatabaseSettings } from '../../../src/postgres/settings.ts';
import { HAS_FAILOVER_SLOTS, STANDBYS_DECODE } from '../../../src/postgres/versions.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import {
  ask,
  primaryConninfo,
  serverVersion,
  startPrimary,
  startStandby,
  waitForSyncedSlot,
  type Standby,
} from '../../support/standby.ts';
import { waitFor } from '../../support/wait.ts';

const SLOT = 'tailrace';

let primary: EmbeddedPostgres;
let standby: Standby;
let settings: DatabaseSettings;
let keepsSlots: boolean;
let version: number;

beforeAll(async () => {
  primary = await startPrimary();
  // Before the slot, which nobody moves here: what is written behind it would keep it from being taken over.
  await ask(primary, `create role least login replication password 'least'`);
  version = await serverVersion(primary);
  keepsSlots = version >= HAS_FAILOVER_SLOTS;
  const without = { hot_standby_feedback: 'off', primary_slot_name: '' };
  standby = await startStandby(primary, {
    settings: {
      ...without,
      primary_conninfo: primaryConninfo(primary, 'standby_a'),
      ...(keepsSlots && { sync_replication_slots: 'off' }),
    },
  });
  settings = {
    ...databaseSettings({ name: 'postgres', host: '', port: 0 }, { slot: { name: SLOT, failover: true } }),
    hosts: [primary, standby].map(({ port }) => ({ host: '127.0.0.1', port })),
  };
  await ask(
    primary,
    keepsSlots
      ? `select pg_create_logical_replication_slot('${SLOT}', 'pgoutput', false, false, true)`
      : `select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`,
  );
}, 240_000);
afterAll(async () => {
  await standby.remove();
  await primary.remove();
});

const faults = async (): Promise<readonly Finding[]> =>
  (await inspectDatabase(settings, [])).filter(({ ok }) => !ok);

/** The first column. */
const column = async (server: EmbeddedPostgres, sql: string): Promise<readonly string[]> =>
  (await ask(server, `select json_agg(x) from (${sql}) as found (x)`)) as string[];

/** Runs what a cure says where it says it: `on the primary: …; then on HOST, in psql: … \gexec`. */
async function follow(cure: string): Promise<void> {
  for (const part of cure.split(/(?=\bon (?:the primary|127\.0\.0\.1:\d+)(?:, in psql)?: )/)) {
    const [, where, sql] = /^on (the primary|127\.0\.0\.1:\d+)(?:, in psql)?: (.*)$/.exec(part) ?? [];
    if (where === undefined || sql === undefined) continue;
    const server = where === 'the primary' ? primary : standby;
    const [, making] = /^([^;]*) \\gexec$/.exec(sql) ?? [];
    const statements =
      making === undefined ? sql.replace(/; then $/, '').split(';') : await column(server, making);
    for (const statement of statements) if (statement.trim() !== '') await ask(server, statement);
  }
}

describe('a failover', () => {
  test('that would lose the slot by a standby’s settings is told with cures that mend each of them', async ({
    skip,
  }) => {
    if (!keepsSlots) skip();
    const found = await faults();
    expect(found.map(({ code, detail }) => `${code}: ${detail}`)).toEqual([
      `STANDBY_NOT_READY: a failover to it now would lose slot "${SLOT}": it is not there yet`,
      'STANDBY_SETTING: sync_replication_slots is off',
      'STANDBY_SETTING: hot_standby_feedback is off',
      'STANDBY_SETTING: primary_slot_name names no physical slot of the primary',
      'STANDBY_SETTING: primary_conninfo names no database (dbname)',
      expect.stringContaining('FAILOVER_MAY_PART: it is not set'),
    ]);
    const [naming, ...others] = found
      .filter(({ code }) => code === 'STANDBY_SETTING')
      .map(({ cure }) => cure!)
      .toReversed();
    for (const cure of others) await follow(cure);
    // A role as the pages have it is not told what primary_conninfo says: the cure of what it sees has that, too.
    const left = await waitFor(async () => {
      const seen = await inspectDatabase({ ...settings, username: 'least', password: 'least' }, []);
      const standing = seen.filter(({ code }) => code === 'STANDBY_SETTING' || code === 'STANDBY_NOT_READY');
      return standing.length === 1 && standing[0];
    }, 'the settings to be in force, and the role to be there');
    expect(left).toMatchObject({
      code: 'STANDBY_NOT_READY',
      cure: expect.stringContaining(naming!) as string,
    });
    await follow(left.cure!);
    await waitForSyncedSlot(primary, standby, SLOT);
    const last = await waitFor(async () => {
      const now = await faults();
      return now.length === 1 ? now : undefined;
    }, 'the one that is left');
    // By now there is a standby with a slot to be named.
    expect(last[0]).toMatchObject({ code: 'FAILOVER_MAY_PART' });
    await follow(last[0]!.cure!);
    expect(await waitFor(async () => ((await faults()).length === 0 ? true : undefined), 'no fault')).toBe(
      true,
    );
    const said = await inspectDatabase(settings, []);
    expect(said.map(({ detail }) => detail).join()).toContain(`slot "${SLOT}" is synchronized`);
  }, 360_000);

  test('that waits for a standby that is away, or finds none, is told with the cure', async ({ skip }) => {
    if (!keepsSlots) skip();
    await standby.stop();
    const found = await waitFor(async () => {
      const now = await faults();
      return now.some(({ code }) => code === 'STANDBY_AWAITED') ? now : undefined;
    }, 'doctor to see that it is away');
    expect(found.map(({ code }) => code)).toEqual(['HOST_UNREACHABLE', 'STANDBY_AWAITED']);
    await follow(found[1]!.cure!);
    expect((await faults()).map(({ code }) => code)).toEqual(['HOST_UNREACHABLE', 'FAILOVER_MAY_PART']);
    await standby.start();
  });

  test('where a slot of the same name stands in the way is told with the cure', async ({ skip }) => {
    if (!keepsSlots) skip();
    await ask(primary, `select pg_drop_replication_slot('${SLOT}')`);
    await waitFor(
      async () => (await ask(standby, 'select count(*)::int from pg_replication_slots')) === 0,
      'the slot to be gone from the standby',
      120_000,
    );
    const making = ask(standby, `select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`);
    await waitFor(async () => {
      await ask(primary, 'select pg_log_standby_snapshot()');
      return (
        (await ask(
          standby,
          'select count(*)::int from pg_replication_slots where confirmed_flush_lsn is not null',
        )) === 1
      );
    }, 'a slot made on the standby');
    await making;
    await ask(
      primary,
      `select pg_create_logical_replication_slot('${SLOT}', 'pgoutput', false, false, true)`,
    );
    const inTheWay = (await faults()).find(({ code }) => code === 'STANDBY_NOT_READY');
    expect(inTheWay?.detail).toContain('made there by hand');
    await follow(inTheWay!.cure!);
    await waitForSyncedSlot(primary, standby, SLOT);
    expect((await faults()).filter(({ code }) => code === 'STANDBY_NOT_READY')).toEqual([]);
  });

  test('that Tailrace keeps the slot for is told what it rests on, with cures that mend each of them', async ({
    skip,
  }) => {
    if (version < STANDBYS_DECODE || keepsSlots) skip();
    await ask(primary, `create role reader login replication password 'reader'`);
    const asReader = { ...settings, username: 'reader', password: 'reader' };
    const found = (await inspectDatabase(asReader, [])).filter(
      ({ code }) => code.startsWith('STANDBY') || code.startsWith('SNAPSHOT'),
    );
    expect(found.map(({ code, detail }) => `${code}: ${detail}`)).toEqual([
      `STANDBY_NOT_READY: a failover to it now would lose slot "${SLOT}": it is not there yet`,
      'STANDBY_SETTING: hot_standby_feedback is off',
      'STANDBY_SETTING: primary_slot_name names no physical slot of the primary',
      expect.stringContaining('SNAPSHOT_NOT_ALLOWED: role "reader" may not execute it'),
    ]);
    for (const { cure } of found.slice(1)) await follow(cure!);
    const left = await waitFor(async () => {
      const now = (await inspectDatabase(asReader, [])).filter(
        ({ ok, code }) => !ok && (code.startsWith('STANDBY') || code.startsWith('SNAPSHOT')),
      );
      return now.length === 1 ? now : undefined;
    }, 'the one that is left');
    expect(left[0]!.code).toBe('STANDBY_NOT_READY');
  });

  test('that loses the slot by the version, or by the configuration, is told', async () => {
    const off = { ...settings, slot: { ...settings.slot, failover: false } };
    await ask(primary, `select pg_drop_replication_slot('${SLOT}')`);
    const found = (await inspectDatabase(off, [])).find(({ code }) => code === 'FAILOVER_LOSES_SLOT');
    expect(found?.detail).toContain('they are a gap, declared with its LSNs');
    expect(found?.detail).toContain(
      version >= STANDBYS_DECODE ? 'slot.failover is off' : 'up to Postgres 15',
    );
    // Nobody to fail over to: nothing to say.
    const alone = { ...off, hosts: off.hosts.slice(0, 1) };
    expect((await inspectDatabase(alone, [])).map(({ code }) => code)).not.toContain('FAILOVER_LOSES_SLOT');
  });
});

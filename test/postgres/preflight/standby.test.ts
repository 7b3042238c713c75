// Who keeps a slot on the standbys, and what a standby says of the one that it has.
import type { Client } from 'pg';
import { expect, test } from 'vitest';
import { inspectStandby, readStandby, slotKeeper } from '../../../src/postgres/preflight/standby.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import { databaseSettings } from '../../support/database-settings.ts';

const settings = (hosts: number, failover: boolean, primary = false) => {
  const of = databaseSettings({ name: 'shop', host: '', port: 0 }, { slot: { name: 'tailrace', failover } });
  const host = { host: 'db', port: 5432 };
  return { slot: of.slot, hosts: Array.from({ length: hosts }, () => host), ...(primary && { primary: of }) };
};
const server = (major: number, slotFailover?: boolean) => ({ serverVersion: major * 10_000, slotFailover });

test.each([
  ['a failover slot: by Postgres', settings(2, true), server(17, true), 'postgres'],
  ['an ordinary slot on 17: by nobody', settings(2, true), server(17, false), undefined],
  ['on 16, several hosts: by Tailrace', settings(2, true), server(16), 'tailrace'],
  ['on 16, one host: by nobody', settings(1, true), server(16), undefined],
  ['on 16, not wanted: by nobody', settings(2, false), server(16), undefined],
  ['on 15: by nobody', settings(2, true), server(15), undefined],
  [
    'of standbys that are read from, on any version: by Tailrace',
    settings(2, true, true),
    server(18, false),
    'tailrace',
  ],
  ['of one standby that is read from: by nobody', settings(1, true, true), server(18), undefined],
] as const)('the slot is kept on the standbys: %s', (_, of, version, keeper) => {
  expect(slotKeeper(of, version)).toBe(keeper);
});

/** A standby that has this row of pg_replication_slots. */
async function stateOf(slot: object | null, more: object = {}) {
  const row = {
    slot: slot && {
      temporary: false,
      wal_status: 'reserved',
      confirmed_flush_lsn: '0/64',
      restart_lsn: '0/32',
      plugin: 'pgoutput',
      database: 'shop',
      active: false,
      ...slot,
    },
    replayed: '0/C8',
    walLevel: 'logical',
    hasExtension: false,
    synchronizes: 'on',
    feedback: 'on',
    primarySlot: 'a',
    conninfo: 'host=a dbname=postgres',
    ...more,
  };
  return readStandby({ query: () => Promise.resolve({ rows: [row] }) } as unknown as Client, 'tailrace');
}

test.each([
  ['17: by its reason', { invalidation_reason: 'wal_level_insufficient' }, 'wal_level_insufficient'],
  ['16: rows were removed that it needs', { conflicting: true }, 'rows_removed'],
  ['any: its WAL is gone', { wal_status: 'lost', conflicting: false }, 'wal_removed'],
  ['it is sound', { conflicting: false }, undefined],
])('a slot on a standby is invalidated, on %s', async (_, slot, invalidation) => {
  expect((await stateOf(slot)).slot?.invalidation).toBe(invalidation);
});

test.each([
  ['host=a dbname=shop', true],
  ['host=a', false],
  ['postgresql://a/shop', true],
  ['postgresql://a/?dbname=shop', true],
  ['postgresql://a/', false],
  [null, undefined],
])('primary_conninfo %s names a database: %s', async (conninfo, names) => {
  expect((await stateOf(null, { conninfo })).namesDatabase).toBe(names);
});

test.each([
  ['made by hand', { synced: false }, 'made there by hand'],
  ['temporary', { synced: true, temporary: true }, 'has not come to a consistent point'],
  [
    'invalidated',
    { synced: true, invalidation_reason: 'rows_removed' },
    'it is invalidated there (rows_removed)',
  ],
  ['missing', null, 'it is not there yet'],
])('a failover to a standby would lose a slot that is %s there', async (_, slot, detail) => {
  const [finding] = inspectStandby('b:5432', await stateOf(slot), 'tailrace', toLsn(100n));
  expect(finding).toMatchObject({ ok: false, code: 'STANDBY_NOT_READY' });
  expect(finding!.detail).toContain(detail);
});

test.each([
  ['primary_slot_name', { primarySlot: '' }],
  ['hot_standby_feedback', { feedback: 'off' }],
  ['sync_replication_slots', { synchronizes: 'off' }],
  ['primary_conninfo', { conninfo: 'host=a' }],
])('%s as it must not be is a finding beside a slot that is synchronized', async (setting, more) => {
  const state = await stateOf({ synced: true }, more);
  const [slot, ...settings] = inspectStandby('b:5432', state, 'tailrace', toLsn(100n));
  expect(slot).toMatchObject({ ok: true });
  expect(settings.map(({ code, detail }) => [code, detail.split(' ')[0]])).toEqual([
    ['STANDBY_SETTING', setting],
  ]);
});

// What is wrong with a slot, or with one that is missing, and what a person does about it.
import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { inspectMissingSlot, inspectSlot, type Slot } from '../../../src/postgres/preflight/slot.ts';
import { databaseSettings } from '../../support/database-settings.ts';

const settings = databaseSettings({ name: 'app', host: 'db', port: 5432 }, { slot: { name: 'tailrace' } });

const SOUND: Slot = {
  name: 'tailrace',
  type: 'logical',
  plugin: 'pgoutput',
  database: 'app',
  activePid: undefined,
  temporary: false,
  twoPhase: false,
  failover: false,
  synced: false,
  walStatus: 'reserved',
  invalidation: undefined,
  confirmedFlush: toLsn(1n),
  restart: toLsn(1n),
  beingMade: false,
  safeWalBytes: undefined,
};

test.each([
  [{}, 'logical, pgoutput, free'],
  [{ activePid: 4711 }, 'logical, pgoutput, in use by process 4711'],
  [{ walStatus: 'extended', safeWalBytes: 1 }, 'logical, pgoutput, free'],
  [{ walStatus: undefined, failover: undefined }, 'logical, pgoutput, free'],
])('a slot that can be used is fine: %j', (changes, detail) => {
  expect(inspectSlot({ ...SOUND, ...changes }, settings)).toMatchObject({
    ok: true,
    title: 'slot "tailrace"',
    detail,
  });
});

test.each<[Partial<Slot>, string, 'error' | 'warning', string]>([
  [
    { type: 'physical', plugin: undefined, database: undefined },
    'SLOT_PHYSICAL',
    'error',
    'choose a free slot.name',
  ],
  [
    { database: 'other' },
    'SLOT_OTHER_DATABASE',
    'error',
    'in database "other": SELECT pg_drop_replication_slot',
  ],
  [
    { plugin: 'wal2json' },
    'SLOT_WRONG_PLUGIN',
    'error',
    "pg_create_logical_replication_slot('tailrace', 'pgoutput')",
  ],
  [{ walStatus: 'lost' }, 'SLOT_INVALIDATED', 'error', 'max_slot_wal_keep_size'],
  [{ invalidation: 'idle_timeout' }, 'SLOT_INVALIDATED', 'error', 'idle_replication_slot_timeout'],
  [{ invalidation: 'rows_removed' }, 'SLOT_INVALIDATED', 'error', 'hot_standby_feedback'],
  [{ invalidation: 'wal_level_insufficient' }, 'SLOT_INVALIDATED', 'error', 'wal_level'],
  [{ twoPhase: true }, 'SLOT_TWO_PHASE', 'error', 'pg_drop_replication_slot'],
  [{ beingMade: true, activePid: 4711 }, 'SLOT_BEING_MADE', 'warning', 'wait until it is made'],
  [{ walStatus: 'unreserved' }, 'SLOT_NEAR_LIMIT', 'warning', 'max_slot_wal_keep_size'],
])('%j is %s, with its cure', (changes, code, severity, cure) => {
  expect(inspectSlot({ ...SOUND, ...changes }, settings)).toMatchObject({
    ok: false,
    code,
    severity,
    cure: expect.stringContaining(cure) as string,
  });
});

test('a slot that is gone is told as that, whatever else is wrong with it', () => {
  const slot = { ...SOUND, walStatus: 'lost', twoPhase: true, beingMade: true };
  expect(inspectSlot(slot, settings)).toMatchObject({ code: 'SLOT_INVALIDATED' });
});

test.each([
  ['will be made', { name: 'tailrace' }, 1, 'OK'],
  ['is missing', { name: 'tailrace', createIfNotExists: false }, 1, 'SLOT_MISSING'],
  ['finds no room', { name: 'tailrace' }, 0, 'NO_SLOT_FREE'],
  ['has a name that Postgres refuses', { name: 'Tail-Race' }, 1, 'SLOT_NAME'],
  ['has no name', { name: '' }, 1, 'SLOT_NAME'],
  ['has too long a name', { name: 'a'.repeat(64) }, 1, 'SLOT_NAME'],
])('a slot that is not there %s', (_, slot, free, code) => {
  const found = inspectMissingSlot(databaseSettings({ name: 'app', host: 'db', port: 1 }, { slot }), free);
  expect(found).toMatchObject({ ok: code === 'OK', severity: 'error', code });
});

// What is to be done with a slot that Tailrace keeps on a standby, and whether a failover would find it.
import { describe, expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { inspectKeptSlot, keepStep, retainedBytes } from '../../../src/postgres/preflight/kept-slot.ts';
import type { StandbyState } from '../../../src/postgres/preflight/standby.ts';

const KEPT = { name: 'tailrace', database: 'shop', flushed: toLsn(500n) };

const SLOT: NonNullable<StandbyState['slot']> = {
  synced: false,
  temporary: false,
  invalidation: undefined,
  confirmedFlush: toLsn(300n),
  restart: toLsn(200n),
  plugin: 'pgoutput',
  database: 'shop',
  beingMade: false,
  active: false,
};

const standby = (slot: Partial<typeof SLOT> | null = {}, more: Partial<StandbyState> = {}): StandbyState => ({
  slot: slot === null ? undefined : { ...SLOT, ...slot },
  replayed: toLsn(1_000n),
  synchronizes: false,
  feedback: true,
  primarySlot: 'standby_a',
  namesDatabase: false,
  walLevel: 'logical',
  hasExtension: false,
  ...more,
});

describe('a slot on a standby', () => {
  test('follows what the primary was told to forget, and passes neither that nor what the standby has', () => {
    expect(keepStep(standby(), KEPT)).toEqual({ step: 'advance', to: 500n });
    expect(keepStep(standby({}, { replayed: toLsn(400n) }), KEPT)).toEqual({ step: 'advance', to: 400n });
    expect(keepStep(standby({ confirmedFlush: toLsn(500n) }), KEPT)).toEqual({ step: 'none' });
    expect(keepStep(standby({ confirmedFlush: toLsn(700n) }), KEPT)).toEqual({ step: 'none' });
  });

  test('is made where there is none, and anew where it is invalidated', () => {
    expect(keepStep(standby(null), KEPT)).toEqual({ step: 'make' });
    expect(keepStep(standby({ invalidation: 'rows_removed' }), KEPT)).toEqual({ step: 'remake' });
  });

  test('is left alone while somebody else has it, makes it, or keeps slots there', () => {
    for (const other of [
      standby({ active: true }),
      standby({ beingMade: true }),
      standby({ plugin: 'wal2json' }),
      standby({ plugin: undefined }),
      standby({ database: 'other', invalidation: 'rows_removed' }),
      standby({ temporary: true }),
      standby(null, { hasExtension: true }),
      standby({}, { hasExtension: true }),
    ])
      expect(keepStep(other, KEPT)).toEqual({ step: 'none' });
  });
});

describe('a failover', () => {
  const found = (state: StandbyState) => inspectKeptSlot('db-2:5432', state, KEPT);
  const faults = (state: StandbyState) => found(state).filter(({ ok }) => !ok);

  test('finds a slot that is there and not ahead, with what is read again and what it keeps said', () => {
    expect(faults(standby())).toEqual([]);
    expect(found(standby())[0]?.detail).toContain('200 bytes behind');
    expect(found(standby())[0]?.detail).toContain('800 bytes');
    expect(retainedBytes(standby({ restart: undefined }))).toBe(0);
  });

  test('would lose one that is missing, in the way, invalidated, or ahead of what was delivered', () => {
    for (const [state, says] of [
      [standby(null), 'it is not there yet'],
      [standby({ beingMade: true }), 'it is being made there'],
      [standby({ plugin: 'wal2json' }), 'its output plugin is wal2json'],
      [standby({ invalidation: 'rows_removed' }), 'rows_removed'],
      [standby({ confirmedFlush: toLsn(501n) }), '1 bytes ahead of what Postgres was told to forget'],
    ] as const)
      expect(faults(state)).toEqual([
        expect.objectContaining({ code: 'STANDBY_NOT_READY', detail: expect.stringContaining(says) }),
      ]);
  });

  test('rests on settings of the standby, each with its cure', () => {
    const state = standby({}, { feedback: false, primarySlot: '', walLevel: 'replica' });
    expect(faults(state).map(({ code, detail }) => `${code}: ${detail}`)).toEqual([
      'STANDBY_SETTING: hot_standby_feedback is off',
      'STANDBY_SETTING: primary_slot_name names no physical slot of the primary',
      'STANDBY_SETTING: wal_level is replica',
    ]);
  });
});

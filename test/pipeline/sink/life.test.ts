import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { ledgerFile } from '../../../src/data-directory/places.ts';
import type { ServiceSettings, SinkSettings } from '../../../src/pipeline/settings.ts';
import { recallSinks } from '../../../src/pipeline/sink/life.ts';
import { openStore, type Store } from '../../../src/store/sqlite.ts';
import { openLedger } from '../../support/ledger.ts';
import { SINK } from '../../support/letters.ts';

const DAY_MS = 86_400_000;
const logger = pino({ level: 'silent' });
let store: Store;
let file: string;
/** Of the settings only these matter here. */
let settings: ServiceSettings;

beforeEach(() => {
  const dataDir = mkdtempSync(join(tmpdir(), 'tailrace-life-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true }));
  const sink = { name: SINK.sink, database: SINK.database, status: 'active' } as SinkSettings;
  settings = { dataDir, sinks: [sink] as readonly SinkSettings[] } as ServiceSettings;
  store = openStore(':memory:');
  store.sinks.started(SINK, [], { configured: 'active', now: new Date() });
  file = ledgerFile(settings, SINK);
  mkdirSync(dirname(file), { recursive: true });
  const ledger = openLedger(file, SINK);
  ledger.advance({ position: { epoch: 0, commitLsn: toLsn(100n), index: 0 }, endLsn: toLsn(96n) });
  ledger.close();
});

test('a sink that is not configured any more keeps its ledger for seven days, then only where it stood', () => {
  const without = { ...settings, sinks: [] };
  recallSinks(without, store, logger);
  expect(existsSync(file)).toBe(true);
  store.sinks.started(SINK, [], { configured: 'active', now: new Date() });
  store.sinks.letGoOfOthers([], new Date(Date.now() - 6.9 * DAY_MS));
  recallSinks(without, store, logger);
  expect(existsSync(file)).toBe(true);
  store.sinks.started(SINK, [], { configured: 'active', now: new Date() });
  store.sinks.letGoOfOthers([], new Date(Date.now() - 7.1 * DAY_MS));
  recallSinks(without, store, logger);
  expect(existsSync(file)).toBe(false);
  expect(store.sinks.find(SINK)?.leftLsn).toBe(96n);
  // Nothing more to give up.
  recallSinks(without, store, logger);
  expect(store.sinks.find(SINK)?.leftLsn).toBe(96n);
});

test('a start takes over the status that was chosen while running', () => {
  expect(recallSinks(settings, store, logger)[0]!.status).toBe('active');
  store.sinks.choose(SINK, 'paused', { configured: 'active', now: new Date() });
  expect(recallSinks(settings, store, logger)[0]!.status).toBe('paused');
});

test('a ledger is there until the store knows where its sink stood', () => {
  store.sinks.letGoOfOthers([], new Date(Date.now() - 7.1 * DAY_MS));
  const crash = new Error('killed');
  const giveUp = store.sinks.giveUp.bind(store.sinks);
  store.sinks.giveUp = () => {
    throw crash;
  };
  expect(() => recallSinks({ ...settings, sinks: [] }, store, logger)).toThrow(crash);
  expect(existsSync(file)).toBe(true);
  store.sinks.giveUp = giveUp;
  recallSinks({ ...settings, sinks: [] }, store, logger);
  expect(existsSync(file)).toBe(false);
  expect(store.sinks.find(SINK)?.leftLsn).toBe(96n);
});

test('the ledger of a sink that is gone for long, and is none of its own or cannot be read, holds up no start', () => {
  store.sinks.letGoOfOthers([], new Date(Date.now() - 7.1 * DAY_MS));
  rmSync(file);
  mkdirSync(file);
  expect(recallSinks({ ...settings, sinks: [] }, store, logger)).toEqual([]);
  rmSync(file, { recursive: true });
  openLedger(file, { ...SINK, sink: 'another' }).close();
  expect(recallSinks({ ...settings, sinks: [] }, store, logger)).toEqual([]);
  // It is somebody's.
  expect(existsSync(file)).toBe(true);
});

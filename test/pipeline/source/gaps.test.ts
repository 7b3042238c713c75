// The gaps of a source: on record, in its status, and before the sinks that they concern.
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { OnGap } from '../../../src/core/gaps.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import { tablePattern } from '../../../src/core/selection.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { GapKeeper } from '../../../src/pipeline/source/gaps.ts';
import type { SourceOptions } from '../../../src/pipeline/source/options.ts';
import { SourceState } from '../../../src/pipeline/source/status.ts';
import { openStore, type Store } from '../../../src/store/sqlite.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { declaredGap, ITEMS } from '../../support/gaps.ts';

const NOTES = { schema: 'public', table: 'notes' };

let store: Store;
let signals: LogSignals;
let state: SourceState;
let lines: { level: number; msg: string }[];

beforeEach(() => {
  store = openStore(':memory:');
  onTestFinished(() => store.close());
  signals = new LogSignals();
  lines = [];
});

/** Of a source with a sink of `items` in slot 4 and one of `notes` in slot 7. */
function keep(onGap: OnGap = 'halt'): GapKeeper {
  const settings = databaseSettings({ name: 'shop', host: 'nowhere', port: 0 }, { onGap });
  state = new SourceState(settings, () => 0);
  state.streams();
  const options = {
    settings,
    store,
    signals,
    sinkSlots: new Map([
      ['items', 4],
      ['notes', 7],
    ]),
    selections: [ITEMS, NOTES].map((table) => ({ includeTables: [tablePattern(table)] })),
    logger: pino(
      { level: 'debug' },
      { write: (line: string) => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
    ),
  } as unknown as SourceOptions;
  return new GapKeeper(options, state);
}

const halted = (): boolean[] => [4, 7].map((slot) => signals.isHalted(slot));
const busy = (): never => {
  throw Object.assign(new Error('database is locked'), { code: 'ERR_SQLITE_ERROR' });
};

describe('a gap', () => {
  test('is on record, told, and before the sinks that it concerns when it is declared', () => {
    const gaps = keep();
    expect(state.status().health).toBe('healthy');
    const gap = gaps.declare(declaredGap());
    expect(store.gaps.unaccepted('shop')).toEqual([gap]);
    expect(halted()).toEqual([true, false]);
    expect(state.status()).toMatchObject({
      health: 'degraded',
      gaps: [gap],
      cure: expect.stringContaining('/api/databases/shop/gaps/1/accept') as string,
    });
    expect(lines).toMatchObject([
      { level: 50, msg: expect.stringContaining('between 0/10 and 0/20') as string },
    ]);
  });

  test('from before is there when a source begins, and gone when somebody has accepted it', () => {
    const { id } = keep().declare(declaredGap());
    signals = new LogSignals();
    const again = keep();
    expect(halted()).toEqual([true, false]);
    store.gaps.accept('shop', id, new Date());
    again.refresh();
    expect(halted()).toEqual([false, false]);
    expect(state.status()).toMatchObject({ health: 'healthy', gaps: [] });
  });

  test('halts nobody where the user wants to go on, and is shown all the same', () => {
    const gaps = keep('resume');
    expect(gaps.isDecided(gaps.declare(declaredGap()))).toBe(true);
    expect(halted()).toEqual([false, false]);
    expect(state.status()).toMatchObject({ health: 'degraded' });
  });

  test('of a dropped table is for the record', () => {
    keep().declare(declaredGap({ cause: 'table_dropped', halts: false }));
    expect(store.gaps.unaccepted('shop')).toEqual([]);
    expect(store.gaps.list('shop', { after: 0, limit: 9 })).toHaveLength(1);
    expect(state.status().health).toBe('healthy');
  });

  test('behind which the stream goes on is one that is decided', () => {
    const gaps = keep();
    const gap = gaps.declare(declaredGap({ skips: true }));
    expect(gaps.skipped(toLsn(0x10n))).toBeUndefined();
    store.gaps.accept('shop', gap.id, new Date());
    expect(gaps.skipped(toLsn(0x10n))).toMatchObject({ id: gap.id });
  });
});

describe('a store that is busy', () => {
  test('keeps the stream from going on where a gap is to be recorded, for as long as it is', () => {
    const gaps = keep();
    const spy = vi.spyOn(store.gaps, 'declare').mockImplementation(busy);
    expect(() => gaps.declare(declaredGap())).toThrow(
      expect.objectContaining({ code: 'GAP_NOT_RECORDED', mend: 'retry' }) as Error,
    );
    spy.mockRestore();
    expect(gaps.declare(declaredGap()).id).toBe(1);
  });

  test('answers no question, and what held a moment ago holds still', () => {
    const gaps = keep();
    const { id } = gaps.declare(declaredGap());
    vi.spyOn(store.gaps, 'unaccepted').mockImplementation(busy);
    vi.spyOn(store.gaps, 'find').mockImplementation(busy);
    gaps.refresh();
    expect(halted()).toEqual([true, false]);
    expect(gaps.isDecidedByNow(id)).toBe(false);
    expect(() => gaps.find(id)).toThrow(
      expect.objectContaining({ code: 'STORE_SILENT', mend: 'retry' }) as Error,
    );
  });
});

test('the first start is one where no sink has ever begun', () => {
  expect(keep().isFirstStart).toBe(true);
  vi.spyOn(store.sinks, 'names').mockReturnValue(['items']);
  expect(keep().isFirstStart).toBe(false);
});

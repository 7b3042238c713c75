import { expect, test, vi } from 'vitest';
import { keepDeadLetterLimits } from '../../../src/pipeline/service/dead-letter-limits.ts';
import type { Store } from '../../../src/store/sqlite.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';

test('dead letters that are dropped at every look are told of once a minute, and none is left uncounted', () => {
  vi.useFakeTimers();
  try {
    const lines: Record<string, unknown>[] = [];
    const write = (line: string): number => lines.push(JSON.parse(line) as Record<string, unknown>);
    const enforce = () => [{ database: 'shop', sink: 'users', limit: 'max_count', count: 5 }];
    const store = { deadLetters: { enforce } } as unknown as Store;
    const limits = { retentionMs: 0, maxCount: 1, maxBytes: 0 };
    const stop = keepDeadLetterLimits(store, limits, createLogger({ level: 'info', destination: { write } }));
    vi.advanceTimersByTime(299_000);
    stop();
    expect(lines.map(({ droppedSoFar }) => droppedSoFar)).toEqual([5, 35, 65, 95, 125]);
    expect(lines[1]).toMatchObject({ level: 'warn', sink: 'users', times: 6 });
  } finally {
    vi.useRealTimers();
  }
});

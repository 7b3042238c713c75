import { describe, expect, test } from 'vitest';
import { Outage, REPEAT_INTERVAL_MS, Repeats } from '../../src/core/repeats.ts';

describe('what repeats', () => {
  test('is said at once, then once an interval with how often; no occurrence is left out of the counts', () => {
    const repeats = new Repeats();
    let said = 0;
    let lines = 0;
    for (let i = 0; i < 1_000_000; i++) {
      const times = repeats.note('dead letter', i / 10); // 100 seconds
      said += times;
      if (times > 0) lines++;
    }
    expect(lines).toBe(2);
    said += repeats.due('dead letter', 100_000 + REPEAT_INTERVAL_MS);
    expect(said).toBe(1_000_000);
    expect(repeats.due('dead letter', 1e9)).toBe(0);
  });

  test('is counted apart for each kind, of which a bounded number is remembered', () => {
    const repeats = new Repeats();
    expect([repeats.note('a', 0), repeats.note('b', 1), repeats.note('a', 2)]).toEqual([1, 1, 0]);
    for (let i = 0; i < 5000; i++) repeats.note(`kind ${i}`, 3);
    expect(repeats.note('kind 4999', 4)).toBe(0);
    expect(repeats.note('a', 5)).toBe(1);
  });
});

test('the kind that was said longest ago makes room, and what was counted of it is handed on', () => {
  const forgotten: unknown[] = [];
  const repeats = new Repeats((kind, unsaid) => forgotten.push([kind, unsaid]));
  repeats.note('a', 0);
  for (let i = 0; i < 999; i++) repeats.note(`kind ${i}`, 1);
  repeats.note('kind 0', 2);
  expect(repeats.note('a', REPEAT_INTERVAL_MS)).toBe(1);
  repeats.note('new', REPEAT_INTERVAL_MS);
  expect(forgotten).toEqual([['kind 0', 1]]);
  expect(repeats.note('a', REPEAT_INTERVAL_MS + 1)).toBe(0);
});

describe('an outage', () => {
  test('is said when it begins, once an interval while it lasts, and when it is over with its length and attempts', () => {
    const outage = new Outage();
    const lines = [];
    for (let now = 0; now < 600_000; now += 500) lines.push(outage.failed(now));
    const said = lines.filter((line) => line !== undefined);
    expect(said).toHaveLength(10);
    expect(said[0]).toEqual({ what: 'down', attempts: 1, forMs: 0 });
    expect(said[1]).toEqual({ what: 'still down', attempts: 121, forMs: 60_000 });
    expect(outage.recovered(600_000)).toEqual({ what: 'up again', attempts: 1200, forMs: 600_000 });
    expect(outage.recovered(600_001)).toBeUndefined();
  });

  test('that comes and goes is said once an interval, and its end only where its beginning was', () => {
    const outage = new Outage();
    let lines = 0;
    for (let now = 0; now < 600_000; now += 200) {
      if (outage.failed(now) !== undefined) lines++;
      if (outage.recovered(now + 100) !== undefined) lines++;
    }
    expect(lines).toBe(20);
  });

  test('that is quiet at first, because the one before it was said just now, is said when it lasts', () => {
    const outage = new Outage();
    outage.failed(0);
    outage.recovered(10);
    expect(outage.failed(20)).toBeUndefined();
    expect(outage.failed(60_001)).toEqual({ what: 'down', attempts: 2, forMs: 59_981 });
    expect(outage.recovered(60_010)).toMatchObject({ what: 'up again', attempts: 2 });
  });

  test('in which the next attempt is far off is said at once and once, even where the one before it was said just now', () => {
    const outage = new Outage();
    outage.failed(0);
    outage.recovered(10);
    const hour = 3_600_000;
    const lines = Array.from({ length: 256 }, () => outage.failed(20, 20 + hour));
    expect(lines.filter((line) => line !== undefined)).toEqual([{ what: 'down', attempts: 1, forMs: 0 }]);
    expect(outage.failed(20 + hour, 20 + 2 * hour)).toMatchObject({ what: 'still down', forMs: hour });
    expect(outage.recovered(30 + 2 * hour)).toMatchObject({ what: 'up again', attempts: 257 });
  });
});

import { expect, test } from 'vitest';
import { civilFromDays, daysFromCivil } from '../../src/core/civil-dates.ts';

test('a date and its number of days are each other, over 1,200 years around, and in far ones', () => {
  const centuries = 12 * 36_525;
  for (const origin of [-centuries / 2, 4_713 * -366, 294_276 * 365]) {
    for (let days = origin; days < origin + centuries; days += 7) {
      const { year, month, day } = civilFromDays(days);
      expect(daysFromCivil(year, month, day)).toBe(days);
    }
  }
});

test('dates are those of the calendar', () => {
  for (const [text, ms] of ['1970-01-01', '2000-02-29', '1900-03-01', '2100-12-31', '0001-01-01'].map(
    (each) => [each, Date.parse(`${each}T00:00:00Z`)] as const,
  )) {
    const { year, month, day } = civilFromDays(ms / 86_400_000);
    expect([year, month, day]).toEqual(text.split('-').map(Number));
  }
  // 1 BC has a 29 February.
  expect(civilFromDays(daysFromCivil(0, 2, 29))).toEqual({ year: 0, month: 2, day: 29 });
});

import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import {
  createMoment,
  epochSeconds,
  isoDate,
  isoTime,
  readDate,
  readTime,
  readTimestamp,
  writeCount,
  type Unit,
} from '../../../src/postgres/values/moments.ts';

const moment = createMoment();

function count(text: string, unit: Unit): string {
  const bytes = Buffer.from(`9${text}9`);
  expect(readTimestamp(bytes, 1, bytes.length - 2, moment)).toBe(true);
  const writer = new ByteWriter(1);
  writeCount(epochSeconds(moment), moment.microseconds, unit, writer);
  return writer.buffer.toString('utf8', 0, writer.length);
}

/** The years that a Date has, which are fewer than Postgres'. */
const dates = fc.date({
  min: new Date('-004712-01-01T00:00:00Z'),
  max: new Date('+200000-01-01T00:00:00Z'),
  noInvalidDate: true,
});

/** As Postgres prints it. */
function textOf(date: Date, microseconds: number): string {
  const year = date.getUTCFullYear();
  const rest = date.toISOString().slice(-20, -5).replace('T', ' ');
  const fraction = String(date.getUTCMilliseconds() * 1000 + microseconds)
    .padStart(6, '0')
    .replace(/0+$/, '');
  const digits = String(year <= 0 ? 1 - year : year).padStart(4, '0');
  return `${digits}${rest}${fraction === '' ? '' : `.${fraction}`}${year <= 0 ? ' BC' : ''}`;
}

test('a timestamp is counted from 1970, before and after, in each unit cut off towards the past', () => {
  fc.assert(
    fc.property(dates, fc.nat(999), (date, microseconds) => {
      const micros = BigInt(date.getTime()) * 1000n + BigInt(microseconds);
      const text = textOf(date, microseconds);
      expect(count(text, 6)).toBe(String(micros));
      expect(count(text, 3)).toBe(String(date.getTime()));
      expect(count(text, 9)).toBe(String(micros * 1000n));
    }),
    { numRuns: 1000 },
  );
});

test('a date and a time of day are written as they were read', () => {
  fc.assert(
    fc.property(dates, fc.nat(999_999), (date, microseconds) => {
      const [day = '', time = ''] = textOf(date, 0).replace(' BC', '').split(' ');
      const isBc = date.getUTCFullYear() <= 0;
      const bytes = Buffer.from(isBc ? `${day} BC` : day);
      expect(readDate(bytes, 0, bytes.length, moment)).toBe(true);
      expect(
        Date.parse(
          `${isoDate(moment.days).replace(/^([-+])(\d{4,5}-)/, (_, sign: string, year: string) => sign + year.padStart(7, '0'))}T00:00:00Z`,
        ),
      ).toBe(Math.floor(date.getTime() / 86_400_000) * 86_400_000);
      const fraction = String(microseconds).padStart(6, '0');
      const clock = Buffer.from(`${time.slice(0, 8)}.${fraction}`);
      expect(readTime(clock, 0, clock.length, moment)).toBe(true);
      expect(isoTime(moment.secondOfDay, moment.microseconds, 6)).toBe(clock.toString());
    }),
    { numRuns: 500 },
  );
});

test.each([
  'infinity',
  '-infinity',
  '',
  '2026',
  '2026-01',
  '2026-01-02',
  '2026-01-02 03:04',
  '2026-01-02 03:04:05x',
  '2026-01-02 03:04:05+',
  'x026-01-02 03:04:05',
  '2026-0x-02 03:04:05',
  '2026-01-02 0x:04:05',
])('%j is no timestamp', (text) => {
  expect(readTimestamp(Buffer.from(text), 0, text.length, moment)).toBe(false);
});

test.each([
  ['03:04:05+00', 0],
  ['03:04:05-05:30', -19_800],
  ['03:04:05+00:19:32', 1172],
])('the offset of %s is %i seconds', (text, seconds) => {
  expect(readTime(Buffer.from(text), 0, text.length, moment)).toBe(true);
  expect(moment.offsetSeconds).toBe(seconds);
});

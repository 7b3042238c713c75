import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { editDistance, nearestName } from '../../src/core/nearest-name.ts';
import { parseGoDuration } from '../../src/config/pg2sqs/go-duration.ts';
import { parseSinkStart } from '../../src/config/schema/parts.ts';
import { parseTableName } from '../../src/core/selection.ts';
import { isLoopback, parseBytes, parseHostPort } from '../../src/config/units.ts';

describe('sizes', () => {
  test.each([
    ['1024', 1024],
    ['64KB', 65_536],
    ['64 kb', 65_536],
    ['128MB', 134_217_728],
    ['128MiB', 134_217_728],
    ['1.5GB', 1_610_612_736],
    ['2T', 2 * 1024 ** 4],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  test.each(['', 'MB', '-1MB', '10 parsecs', '1e3', '99999999999TB'])('"%s" is no size', (text) => {
    expect(parseBytes(text)).toBeUndefined();
  });
});

describe('durations of pg2sqs', () => {
  test.each([
    ['500', 'ms', 500],
    ['500', 's', 500_000],
    ['1s', 'ms', 1000],
    ['1.5m', 's', 90_000],
    ['1h30m', 's', 5_400_000],
    ['250us', 's', 1],
    ['0', 's', 0],
  ] as const)('%s with the unit %s is %d ms', (text, unit, ms) => {
    expect(parseGoDuration(text, unit)).toBe(ms);
  });

  test.each(['', 's', '-1s', '1 s', '1d', '5x'])('"%s" is no duration', (text) => {
    expect(parseGoDuration(text, 's')).toBeUndefined();
  });
});

describe('names and addresses', () => {
  test.each([
    ['users', { schema: 'public', table: 'users' }],
    ['shop.users', { schema: 'shop', table: 'users' }],
    ['shop.order items', { schema: 'shop', table: 'order items' }],
    ['shop.orders.2024', { schema: 'shop', table: 'orders.2024' }],
    ['"Odd.Schema"."a ""b"""', { schema: 'Odd.Schema', table: 'a "b"' }],
  ])('the table %s is read', (text, name) => {
    expect(parseTableName(text)).toEqual(name);
  });

  test.each(['', 'tenant_*.orders', '.users', '"open'])('"%s" is no table name', (text) => {
    expect(parseTableName(text)).toBeUndefined();
  });

  test('every table name can be written in quotes', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (schema, table) => {
        const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
        expect(parseTableName(`${quote(schema)}.${quote(table)}`)).toEqual({ schema, table });
      }),
    );
  });

  test.each([
    ['db', { host: 'db', port: 1 }],
    ['db:5433', { host: 'db', port: 5433 }],
    ['[::1]:5433', { host: '::1', port: 5433 }],
    ['fe80::1', { host: 'fe80::1', port: 1 }],
  ])('%s is a host', (text, address) => {
    expect(parseHostPort(text, 1)).toEqual(address);
  });

  test.each(['', 'a b', 'db:', 'db:70000', 'db:x'])('"%s" is no host', (text) => {
    expect(parseHostPort(text, 1)).toBeUndefined();
  });

  test('only this machine is loopback', () => {
    const hosts = ['localhost', '127.0.0.1', '127.8.8.8', '::1', '/var/run/postgresql'];
    expect(hosts.filter(isLoopback)).toEqual(hosts);
    expect(
      ['127.example.com', '0.0.0.0', 'db', '10.0.0.1', 'localhost.example.com'].filter(isLoopback),
    ).toEqual([]);
  });

  test('a sink starts at a time to the microsecond, at an LSN, or at the earliest change', () => {
    expect(parseSinkStart('2026-01-02T03:04:05.123456+01:00')).toEqual({
      from: 'time',
      timeUs: 1767319445123456n,
    });
    expect(parseSinkStart('16/B374D848')).toEqual({ from: 'lsn', lsn: 0x16b374d848n });
    expect(parseSinkStart('earliest')).toEqual({ from: 'earliest' });
    expect(parseSinkStart('2026-01-02T03:04:05')).toBeUndefined();
    expect(parseSinkStart('yesterday')).toBeUndefined();
  });
});

describe('nearest names', () => {
  test.each([
    ['queue_nam', 'queue_name'],
    ['databse', 'database'],
    ['RETRYPOLICY_MAXRETIRES', 'RETRYPOLICY_MAXRETRIES'],
  ])('%s looks like %s', (name, nearest) => {
    expect(nearestName(name, ['host', 'queue_name', 'database', 'RETRYPOLICY_MAXRETRIES'])).toBe(nearest);
  });

  test('what looks like nothing known has no nearest name', () => {
    expect(nearestName('colour', ['host', 'queue_name'])).toBeUndefined();
  });

  test('the edit distance is 0 only between equal texts, the same both ways, and at most the longer length', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b);
        expect(distance === 0).toBe(a === b);
        expect(distance).toBe(editDistance(b, a));
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});

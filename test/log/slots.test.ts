import { expect, test } from 'vitest';
import { MAX_SINKS_PER_DATABASE } from '../../src/log/signals.ts';
import { LogSlots } from '../../src/log/slots.ts';

test('a sink has the same slot whenever it asks, whoever asked in between', () => {
  const slots = new LogSlots('shop');
  const users = slots.of('users');
  const orders = slots.of('orders');
  expect(orders).not.toBe(users);
  expect(slots.of('users')).toBe(users);
  expect(slots.byName()).toEqual(
    new Map([
      ['users', users],
      ['orders', orders],
    ]),
  );
});

test('a log has as many slots as its signals, and the sink that finds none is told so', () => {
  const slots = new LogSlots('shop');
  const given = Array.from({ length: MAX_SINKS_PER_DATABASE }, (_, i) => slots.of(`sink-${i}`));
  expect(new Set(given).size).toBe(MAX_SINKS_PER_DATABASE);
  expect(Math.max(...given)).toBe(MAX_SINKS_PER_DATABASE - 1);
  expect(() => slots.of('one more')).toThrow(
    expect.objectContaining({ code: 'TOO_MANY_SINKS', message: expect.stringContaining('"shop"') }),
  );
  expect(slots.of('sink-3')).toBe(given[3]);
});

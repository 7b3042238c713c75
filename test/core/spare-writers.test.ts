import { expect, test } from 'vitest';
import { SpareWriters } from '../../src/core/spare-writers.ts';

test('a writer that is given back is taken again, and is empty', () => {
  const writers = new SpareWriters({ initial: 16, all: 64 });
  const writer = writers.take();
  writer.byte(1);
  writers.giveBack(writer);
  expect(writers.take()).toBe(writer);
  expect(writer.length).toBe(0);
  expect(writers.take()).not.toBe(writer);
});

test('no more bytes are kept than the limit of all, also after some were taken', () => {
  const writers = new SpareWriters({ initial: 16, all: 32 });
  const [first, second, third] = [writers.take(), writers.take(), writers.take()];
  for (const writer of [first, second, third]) writers.giveBack(writer);
  expect([writers.take(), writers.take()]).toEqual([second, first]);
  expect(writers.take()).not.toBe(third);
  writers.giveBack(third);
  expect(writers.take()).toBe(third);
});

test('one that has grown beyond the limit of each is not kept, one up to it is', () => {
  const writers = new SpareWriters({ initial: 16, each: 32, all: 1024 });
  const writer = writers.take();
  writer.reserve(32);
  writers.giveBack(writer);
  expect(writers.take()).toBe(writer);
  writer.reserve(33);
  writers.giveBack(writer);
  expect(writers.take()).not.toBe(writer);
});

test('what is cleared is not given out again, and leaves its room', () => {
  const writers = new SpareWriters({ initial: 16, all: 16 });
  const [first, second] = [writers.take(), writers.take()];
  writers.giveBack(first);
  writers.clear();
  expect(writers.take()).not.toBe(first);
  writers.giveBack(second);
  expect(writers.take()).toBe(second);
});

// The connections of one backfill, without a server: only who has which, and when there are more.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { expect, test } from 'vitest';
import { ReadingConnections } from '../../../src/postgres/backfill/reading-connections.ts';

type Pretended = { readonly name: string; isClosed: boolean };

function pretended(most: number, open?: () => Promise<never>) {
  const all: Pretended[] = [];
  const refused: unknown[] = [];
  const make = (): Client => {
    const one: Pretended = { name: `c${all.length}`, isClosed: false };
    all.push(one);
    const ended = (): Promise<void> => Promise.resolve(void (one.isClosed = true));
    return Object.assign(one, { end: ended, connection: { stream: { destroy: () => undefined } } }) as never;
  };
  const connections = new ReadingConnections(make(), {
    most,
    open: open ?? (() => Promise.resolve(make())),
    noMore: (error) => refused.push(error),
  });
  return { connections, all, refused };
}

/** Work that is done when it is told so. */
function works(connections: ReadingConnections) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const work = { by: '', end: resolve, done: undefined as Promise<void> | undefined };
  work.done = connections.use((client) => {
    work.by = (client as unknown as Pretended).name;
    return promise;
  });
  return work;
}

test('one connection is enough for work that comes one by one, and there are never more than may be', async () => {
  const { connections, all } = pretended(2);
  for (let i = 0; i < 3; i++) await connections.use(() => Promise.resolve());
  expect(all).toHaveLength(1);
  const [first, second, third] = [works(connections), works(connections), works(connections)];
  await sleep(1);
  expect([all.length, first.by, second.by, third.by]).toEqual([2, 'c0', 'c1', '']);
  second.end();
  await second.done;
  await sleep(1);
  expect(third.by).toBe('c1');
  first.end();
  third.end();
  await Promise.all([first.done, third.done]);
  await connections.close();
  expect(all.every(({ isClosed }) => isClosed)).toBe(true);
});

test('work that fails gives its connection back', async () => {
  const { connections } = pretended(1);
  await expect(connections.use(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(connections.use(() => Promise.resolve('yes'))).resolves.toBe('yes');
});

test('where no other connection can be had, those that are there go on, which is said once', async () => {
  const { connections, refused } = pretended(4, () => Promise.reject(new Error('too many')));
  const [first, second, third] = [works(connections), works(connections), works(connections)];
  await sleep(1);
  expect([first.by, second.by, connections.most, refused.length]).toEqual(['c0', '', 1, 1]);
  for (const work of [first, second, third]) {
    work.end();
    await work.done;
  }
  expect(third.by).toBe('c0');
});

test('one that is opened too late is closed', async () => {
  const { connections, all } = pretended(2);
  const work = works(connections);
  const late = connections.use(() => Promise.resolve());
  void late;
  await connections.close();
  await sleep(1);
  expect(all.map(({ isClosed }) => isClosed)).toEqual([true, true]);
  work.end();
});

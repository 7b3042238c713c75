// Chunks that are read beside each other: which are begun, and in which order they are handed out. The reader is pretended.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ZERO_LSN } from '../../../../src/core/lsn.ts';
import type { Chunk, ChunkReader } from '../../../../src/postgres/backfill/chunk-reader.ts';
import type { ChunkCursor, ChunkRange, ChunkRest } from '../../../../src/postgres/backfill/chunk-sql.ts';
import { parseSnapshot } from '../../../../src/postgres/backfill/snapshot.ts';
import type { PassCursor } from '../../../../src/pipeline/source/backfill/place.ts';
import { ReadAhead, type Held } from '../../../../src/pipeline/source/backfill/read-ahead.ts';
import { StreamedTransactions } from '../../../../src/pipeline/source/backfill/streamed-transactions.ts';
import { TableWatch } from '../../../../src/pipeline/source/backfill/table-watch.ts';

/** A table with the keys 1 to `rows`, ten to a chunk. */
const SIZE = 10;

type Reading = { readonly range: ChunkRange; readonly finish: (rest?: ChunkRest, snapshot?: string) => void };

const keyed = (after: number | undefined, upTo: number | undefined): ChunkRest => ({
  by: 'key',
  after: after === undefined ? undefined : [String(after)],
  upTo: upTo === undefined ? undefined : [String(upTo)],
});

function pretended(
  rows: number,
  {
    most = 3,
    atOnce = () => Infinity,
    cursor,
    again = [],
    keys,
    gone = [],
  }: {
    readonly most?: number;
    readonly atOnce?: () => number;
    readonly cursor?: PassCursor;
    readonly again?: readonly (readonly string[])[];
    readonly keys?: readonly (readonly string[])[];
    readonly gone?: readonly (readonly string[])[];
  } = {},
) {
  const readings: Reading[] = [];
  const reader = {
    cut: (_: unknown, from: ChunkCursor | undefined, __: AbortSignal, chunks: number) => {
      const after = from?.by === 'key' ? Number(from.values[0]) : 0;
      const upTo = after + chunks * SIZE <= rows ? after + chunks * SIZE : undefined;
      const next = upTo === undefined ? undefined : { by: 'key', values: [String(upTo)] };
      return Promise.resolve({ range: keyed(after === 0 ? undefined : after, upTo), next });
    },
    read: (_: unknown, range: ChunkRange) => {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      const finish = (rest?: ChunkRest, snapshot = '1:1:'): void => {
        const read = rest?.by === 'key' && range.by === 'key' ? { ...range, upTo: rest.after } : range;
        resolve({
          kind: 'chunk',
          chunk: {
            range: read,
            rest,
            scanned: 1,
            rows: { bytes: Buffer.alloc(0) },
            snapshot: parseSnapshot(snapshot),
          } as unknown as Chunk,
        });
      };
      readings.push({ range, finish });
      return promise;
    },
  } as unknown as ChunkReader;
  const watch = new TableWatch(['id'], { updatesAreTold: true });
  const streamed = new StreamedTransactions(parseSnapshot('1:1:'), 1n);
  const ahead = new ReadAhead(
    { reader, watch, keys, gone },
    { cursor, again },
    {
      signal: new AbortController().signal,
      ports: {
        connections: { most, use: (act: (client: never) => unknown) => act({} as never) } as never,
        gate: { streamedTo: ZERO_LSN },
        streamed,
        readFrom: 'primary',
        mostAtOnce: atOnce,
        ready: () => Promise.resolve(),
        ended: () => undefined,
      },
    },
  );
  return { ahead, readings, watch, streamed };
}

const heldOf = async (next: ReturnType<ReadAhead['take']>): Promise<Held> => {
  const read = await next;
  if (read?.kind !== 'chunk') throw new Error(`there is no chunk: ${read?.kind}`);
  return read;
};
/** What is behind a cut comes a turn later. */
const begun = async (readings: readonly Reading[]): Promise<readonly ChunkRange[]> => {
  await sleep(1);
  return readings.map(({ range }) => range);
};

test('as many chunks are read at once as there are connections, and they are handed out in the order of the key', async () => {
  const { ahead, readings } = pretended(35);
  const first = ahead.take();
  expect(await begun(readings)).toEqual([keyed(undefined, 10), keyed(10, 20), keyed(20, 30)]);
  readings[2]!.finish();
  readings[1]!.finish();
  readings[0]!.finish();
  const held = ahead.divided(await heldOf(first));
  expect(held.part).toEqual({ of: 'pass', range: keyed(undefined, 10), next: { by: 'key', values: ['10'] } });
  ahead.done(held, []);
  const second = ahead.divided(await heldOf(ahead.take()));
  expect(second.part.range).toEqual(keyed(10, 20));
  expect((await begun(readings))[3]).toEqual(keyed(30, undefined));
  readings[3]!.finish();
  ahead.done(second, []);
  ahead.done(await heldOf(ahead.take()), []);
  const last = await heldOf(ahead.take());
  expect(last.part).toMatchObject({ next: { by: 'end' } });
  ahead.done(last, []);
  // What was asked for before the end was known.
  for (let next = ahead.take(); next !== undefined; next = ahead.take()) expect(await next).toBeUndefined();
});

test('what was too much for one chunk comes next, and the cursor between is behind what was read', async () => {
  const { ahead, readings } = pretended(35);
  const first = ahead.take();
  await begun(readings);
  readings[0]!.finish(keyed(4, 10));
  readings[1]!.finish();
  const held = ahead.divided(await heldOf(first));
  expect(held.part).toEqual({ of: 'pass', range: keyed(undefined, 4), next: { by: 'key', values: ['4'] } });
  ahead.done(held, []);
  expect((await begun(readings)).at(-1)).toEqual(keyed(4, 10));
  readings.at(-1)!.finish();
  const rest = ahead.divided(await heldOf(ahead.take()));
  expect(rest.part).toEqual({ of: 'pass', range: keyed(4, 10), next: { by: 'key', values: ['10'] } });
  expect((await heldOf(ahead.take())).part.range).toEqual(keyed(10, 20));
});

test('a chunk that is of no use is read again by itself, and comes before those that were read behind it', async () => {
  const { ahead, readings } = pretended(35);
  const first = ahead.take();
  await begun(readings);
  for (const { finish } of readings) finish();
  ahead.repeat(await heldOf(first));
  expect((await begun(readings)).slice(3)).toEqual([keyed(undefined, 10)]);
  readings[3]!.finish();
  expect((await heldOf(ahead.take())).part.range).toEqual(keyed(undefined, 10));
  expect((await heldOf(ahead.take())).part.range).toEqual(keyed(10, 20));
});

test('a window opens ahead of its statement, and what changes in it is remembered until its chunk is let in', async () => {
  const { ahead, readings, watch } = pretended(35, { most: 2 });
  const first = ahead.take();
  await begun(readings);
  watch.any();
  for (const { finish } of readings) finish();
  const held = await heldOf(first);
  expect(held.window.changes).toBe(0);
  expect(ahead.done(held, [])).toBe(0);
  const second = await heldOf(ahead.take());
  await begun(readings);
  watch.any();
  expect(second.window.changes).toBe(0);
  // The third was begun between the two changes.
  expect(ahead.done(second, [])).toBe(1);
});

test('a chunk that does not show what had come is found out, also where one beside it has shown that before it ended', async () => {
  const { ahead, readings, streamed } = pretended(35, { most: 2 });
  streamed.came(1);
  const first = ahead.take();
  await begun(readings);
  streamed.shown(parseSnapshot('2:2:'));
  readings[0]!.finish(undefined, '2:2:');
  readings[1]!.finish(undefined, '1:2:1');
  expect((await heldOf(first)).showsAll).toBe(true);
  expect((await heldOf(ahead.take())).showsAll).toBe(false);
});

test('rows that are to be read once more are known until they are let in', async () => {
  const { ahead, readings } = pretended(9, { most: 1, again: [['7']] });
  const first = ahead.take();
  expect(await begun(readings)).toEqual([{ by: 'rows', keys: [['7']] }]);
  expect(ahead.again).toEqual([['7']]);
  readings[0]!.finish();
  ahead.done(await heldOf(first), [['8'], ['9']]);
  expect(ahead.again).toEqual([['8'], ['9']]);
  const second = ahead.take();
  await begun(readings);
  readings[1]!.finish();
  expect(ahead.again).toEqual([['8'], ['9']]);
  ahead.done(await heldOf(second), []);
  expect(ahead.again).toEqual([]);
});

test('rows that were asked for by their keys come in parts, from where they were left', async () => {
  const keys = Array.from({ length: 40 }, (_, i) => [String(i)]);
  const { ahead, readings } = pretended(0, { keys, cursor: { by: 'list', done: 16 } });
  const first = ahead.take();
  expect((await begun(readings)).map((range) => range.by === 'rows' && range.keys.length)).toEqual([16, 8]);
  for (const { finish } of readings) finish();
  expect((await heldOf(first)).part).toMatchObject({ next: { by: 'list', done: 32 } });
  expect((await heldOf(ahead.take())).part).toMatchObject({ next: { by: 'end' } });
});

test('keys that somebody has are looked for in parts behind the rows, from where they were left', async () => {
  const gone = Array.from({ length: 1500 }, (_, i) => [String(i)]);
  const { ahead, readings } = pretended(9, { most: 4, gone });
  const first = ahead.take();
  const ranges = await begun(readings);
  expect(ranges[0]).toEqual(keyed(undefined, undefined));
  expect(ranges.slice(1).map((range) => range.by === 'absent' && range.keys.length)).toEqual([1000, 500]);
  for (const { finish } of readings) finish();
  expect((await heldOf(first)).part).toMatchObject({ next: { by: 'gone', done: 0 } });
  expect((await heldOf(ahead.take())).part).toMatchObject({ next: { by: 'gone', done: 1000 } });
  expect((await heldOf(ahead.take())).part).toMatchObject({ next: { by: 'end' } });

  const continued = pretended(9, { gone, cursor: { by: 'gone', done: 1000 } });
  void continued.ahead.take();
  expect(await begun(continued.readings)).toEqual([{ by: 'absent', keys: gone.slice(1000) }]);
});

test('keys that somebody has are looked for where no row was asked for by its key', async () => {
  const { ahead, readings } = pretended(9, { keys: [], gone: [['1']] });
  expect(await ahead.take()).toBeUndefined();
  expect(await begun(readings)).toEqual([{ by: 'absent', keys: [['1']] }]);
});

test('where one chunk is read after the other, one cut is for eight of them, and each begins when the one before has its place', async () => {
  let atOnce = 1;
  const { ahead, readings } = pretended(200, { atOnce: () => atOnce });
  const first = ahead.take();
  expect(await begun(readings)).toEqual([keyed(undefined, 80)]);
  readings[0]!.finish(keyed(10, 80));
  const held = ahead.divided(await heldOf(first));
  ahead.fill();
  expect(held.part).toEqual({ of: 'pass', range: keyed(undefined, 10), next: { by: 'key', values: ['10'] } });
  expect((await begun(readings)).slice(1)).toEqual([keyed(10, 80)]);
  // As soon as more may be, more are, each with a cut of its own.
  atOnce = 3;
  ahead.fill();
  expect((await begun(readings)).slice(2)).toEqual([keyed(80, 90), keyed(90, 100)]);
});

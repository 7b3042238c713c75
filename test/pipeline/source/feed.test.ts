import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { listSegments } from '../../../src/log/segments.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { openLog, type LogWriter } from '../../../src/log/writer.ts';
import { LogFeed } from '../../../src/pipeline/source/feed.ts';
import { RelationsInForce } from '../../../src/pipeline/source/relations-in-force.ts';
import { RANGE, type StreamBatch } from '../../../src/postgres/replication/stream.ts';
import { frames } from '../../log/stream.ts';
import { readsOf } from '../../support/reads.ts';
import { readLog } from '../../support/source.ts';
import { tightDevice } from '../../support/tight-device.ts';

const RELATION_ID = 16_400;
const history = { current: 1, switches: [] };

let directory: string;
let signals: LogSignals;
let relations: RelationsInForce;
let log: LogWriter;
let feed: LogFeed;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tailrace-feed-'));
  await reopen();
});
afterEach(async () => {
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

const disk = tightDevice();
const { device } = disk;

async function reopen(segmentBytes = 1 << 20): Promise<void> {
  signals = new LogSignals();
  relations = new RelationsInForce();
  log = await openLog({
    directory,
    identity: { systemIdentifier: '1', databaseOid: 1, slot: 's' },
    settings: { segmentBytes, retentionMs: 0, maxBytes: 1 << 30, minFreeBytes: 0, maxMessageBytes: 1 << 20 },
    signals,
    streamOptions: {},
    version: '0.0.0-test',
    prologue: () => relations.prologue(),
    device,
  });
  feed = new LogFeed(log, relations, { epoch: 0, history });
}

function message(type: string, ...parts: readonly (bigint | number | string)[]): Buffer {
  const bytes = parts.map((part) => {
    if (typeof part === 'string') return Buffer.from(part, 'latin1');
    const number = Buffer.alloc(typeof part === 'bigint' ? 8 : 4);
    if (typeof part === 'bigint') number.writeBigUInt64BE(part);
    else number.writeUInt32BE(part);
    return number;
  });
  return Buffer.concat([Buffer.from(type), ...bytes]);
}

const begin = (commitLsn: bigint, xid = 7) => message('B', commitLsn, 0n, xid);
const commit = (commitLsn: bigint, endLsn: bigint) => message('C', '\0', commitLsn, endLsn, 0n);
/** One text column named `id`, or two. */
const relation = (columns = 1, id = RELATION_ID) =>
  message(
    'R',
    id,
    `public\0t\0d\0${String.fromCharCode(columns)}`,
    ...Array.from({ length: columns }, () => [`\u0001id\0`, 25, 0xffff_ffff]).flat(),
  );
const row = (value: string, columns = 1) =>
  message(
    'I',
    RELATION_ID,
    `N\0${String.fromCharCode(columns)}`,
    ...Array.from({ length: columns }, () => ['t', value.length, value]).flat(),
  );
const truncate = () => message('T', 1, '\0', RELATION_ID);

/** Feeds messages as one batch; ranges of a long one as `[kind, bytes]`. */
function batch(messages: readonly (Buffer | readonly [number, Buffer])[], oversizeBytes = 0): void {
  const ranges = messages.map((entry) => (Buffer.isBuffer(entry) ? ([RANGE.whole, entry] as const) : entry));
  const bytes = Buffer.concat(ranges.map(([, range]) => range));
  const starts = new Int32Array(ranges.length);
  const ends = new Int32Array(ranges.length);
  let at = 0;
  ranges.forEach(([, range], i) => {
    starts[i] = at;
    ends[i] = at += range.length;
  });
  const stream: StreamBatch = {
    bytes,
    count: ranges.length,
    starts,
    ends,
    kinds: Uint8Array.from(ranges.map(([kind]) => kind)),
    oversizeBytes,
  };
  for (let i = feed.take(stream, 0); i < stream.count; i = feed.take(stream, i + 1)) {
    const relationId = bytes.readUInt32BE(starts[i]! + 1);
    feed.relation(bytes, starts[i]!, ends[i]!, { relationId, key: undefined, types: new Map() });
    feed.firstUses.came(relationId);
  }
  feed.flush();
}

const values = async () => (await readLog(directory, signals)).rows.map((entry) => entry.values[0]);
const reconnect = () => feed.join({ epoch: 0, history });

describe('the feed', () => {
  test('what a full disk refused comes again with the next connection: every row once, under the shape it came with', async () => {
    await reopen(400);
    const transaction = (i: number) => {
      const columns = 1 + (i % 2);
      const lsn = BigInt(i * 100);
      const rows = [`a${i}`, `b${i}`, `c${i}`].map((value) => row(value, columns));
      return [begin(lsn, i), relation(columns), ...rows, commit(lsn, lsn + 50n)];
    };
    const all = Array.from({ length: 12 }, (_, i) => transaction(i + 1));
    let refused = 0;
    // Batches that end inside of a transaction, as those of a socket do.
    const batches = (messages: readonly Buffer[], size: number) =>
      Array.from({ length: Math.ceil(messages.length / size) }, (_, i) =>
        messages.slice(i * size, (i + 1) * size),
      );
    for (let attempt = 0; ; attempt++) {
      disk.room = 60 + ((attempt * 153) % 3000);
      // The server sends from the first transaction on that is not whole in the log.
      const from = all.findIndex((_, i) => BigInt((i + 1) * 100) > log.context.lastCommitLsn);
      if (from === -1) break;
      reconnect();
      try {
        for (const messages of batches(all.slice(from).flat(), 4)) batch(messages);
      } catch (error) {
        if ((error as { code?: string }).code !== 'LOG_DISK_FULL') throw error;
        refused++;
      }
    }
    disk.room = Infinity;
    expect(refused).toBeGreaterThan(5);
    expect(await values()).toEqual(
      Array.from({ length: 12 }, (_, i) => [`a${i + 1}`, `b${i + 1}`, `c${i + 1}`]).flat(),
    );
  });

  test.each<[string, readonly Buffer[]]>([
    ['a row outside of a transaction', [row('secret')]],
    ['a TRUNCATE outside of a transaction', [truncate()]],
    ['a row of a table that it has not described', [begin(200n), row('secret')]],
    ['a TRUNCATE of one', [begin(200n), truncate()]],
    ['a transaction inside another', [begin(200n), relation(), row('b'), begin(300n)]],
    ['a commit without a transaction', [commit(200n, 250n)]],
    ['the commit of another transaction', [begin(200n), relation(), row('b'), commit(300n, 350n)]],
    ['a commit that is cut short', [begin(200n), relation(), row('b'), commit(200n, 250n).subarray(0, 8)]],
    ['a Begin that is cut short', [begin(200n).subarray(0, 12)]],
    ['a message of a kind that there is not', [begin(200n), Buffer.from('#secret')]],
  ])('takes nothing of a stream with %s, and says where and how it begins', async (_, lie) => {
    batch([begin(100n), relation(), row('a'), commit(100n, 150n)]);
    reconnect();
    expect(() => batch(lie)).toThrow(
      expect.objectContaining({
        code: 'STREAM_CORRUPT',
        mend: 'operator',
        message: expect.stringMatching(/^the replication stream is corrupt (at|after) .*0x/) as string,
      }),
    );
    expect(() => batch(lie)).not.toThrow(
      expect.objectContaining({ message: expect.stringMatching(/secret|736563/) as string }),
    );
    // The server sends again what it has.
    reconnect();
    batch([begin(200n), relation(), row('b'), commit(200n, 250n)]);
    expect(await values()).toEqual(['a', 'b']);
  });

  test('skips what is logged by commit LSN, and takes a commit record that begins exactly at the last end', async () => {
    batch([begin(100n), relation(), row('a'), commit(100n, 200n)]);
    reconnect();
    batch([begin(100n), relation(), row('a'), commit(100n, 200n), begin(200n), row('b'), commit(200n, 300n)]);
    expect(await values()).toEqual(['a', 'b']);
  });

  test('passes over what Postgres 18 says of savepoints of large transactions that were rolled back', async () => {
    batch([message('A', 7, 8), begin(100n), relation(), row('a'), commit(100n, 200n), message('A', 9, 9)]);
    batch([begin(200n), row('b'), commit(200n, 300n)]);
    expect(await values()).toEqual(['a', 'b']);
  });

  test('logs a Relation that comes inside a skipped transaction: it comes once a connection', async () => {
    batch([begin(100n), relation(), row('a'), commit(100n, 200n)]);
    await log.close();
    await reopen();
    batch([
      begin(100n),
      relation(2),
      row('x', 2),
      commit(100n, 200n),
      begin(250n),
      row('b', 2),
      commit(250n, 300n),
    ]);
    expect((await readLog(directory, signals)).rows.at(-1)?.values).toEqual(['b', 'b']);
  });

  test('says of another schema in front of the row that uses it first, wherever its relation came, and once', async () => {
    const shape = { relationId: RELATION_ID, schema: 'public', table: 't', columns: [] };
    const asked: string[] = [];
    const listen = (): void => {
      feed.firstUses.onFirstUse = (id, at) => {
        asked.push(`${id} at ${at.commitLsn}:${at.index}`);
        return id === 7 ? undefined : { schemaChange: { before: shape, after: shape, at } };
      };
    };
    listen();
    const other = message('I', 7, 'N\0\u0001', 't', 1, 'o');
    const more = message('T', 2, '\0', 7, RELATION_ID);
    const transaction = [
      begin(100n),
      relation(1, 7),
      relation(),
      other,
      row('a'),
      row('b'),
      relation(),
      more,
      commit(100n, 200n),
    ];
    // It comes behind a transaction, too: after one that was streamed while it was in progress.
    batch([...transaction, relation(), begin(200n), row('c'), commit(200n, 300n)]);
    const expected = [
      '7 at 100:0',
      `${RELATION_ID} at 100:1`,
      `${RELATION_ID} at 100:4`,
      `${RELATION_ID} at 200:0`,
    ];
    expect(asked).toEqual(expected);
    const { types, relations: logged } = await readLog(directory, signals);
    expect(types).toBe('BReReIReIIReReTCReBReIC');
    expect(logged.flatMap(({ schemaChange }) => schemaChange?.at.index ?? [])).toEqual([1, 4, 0]);
    // What comes again is asked again, and not logged.
    reconnect();
    batch([...transaction, begin(200n), row('c'), commit(200n, 300n)]);
    expect(asked).toEqual([...expected, ...expected.slice(0, 3)]);
    expect((await readLog(directory, signals)).types.slice(types.length)).toBe('ReReRe');
  });

  test('goes on inside a transaction that came again, at the row where the log ends', async () => {
    batch([begin(100n), relation(), row('a'), truncate(), row('c')]);
    reconnect();
    batch([begin(100n), relation(), row('a'), truncate()]);
    batch([row('c'), row('d'), commit(100n, 200n)]);
    const { rows, types } = await readLog(directory, signals);
    expect(rows.map((entry) => [entry.action, entry.index])).toEqual([
      ['insert', 0],
      ['truncate', 1],
      ['insert', 2],
      ['insert', 3],
    ]);
    expect(types.match(/[BC]/g)?.join('')).toBe('BC');
  });

  test('refuses another transaction where the log holds the beginning of one', () => {
    batch([begin(100n), relation(), row('a')]);
    reconnect();
    expect(() => batch([begin(101n), row('b')])).toThrow(/committed at 0\/65/);
  });

  test('refuses one that has place and id of the one that the log holds the beginning of, and another time', () => {
    batch([begin(100n), relation(), row('a')]);
    reconnect();
    const another = begin(100n);
    another.writeBigInt64BE(another.readBigInt64BE(9) + 1n, 9);
    expect(() => batch([another, row('b')])).toThrow(/committed at 0\/64/);
  });

  describe('lets in rows of backfills', () => {
    const readsNow = (): void => {
      const bytes = frames(...readsOf({ rows: [['a', 'x']], firstIndex: log.readIndex }));
      feed.appendReads(bytes, bytes.length, toLsn(900n));
    };

    test('between two transactions alone, also those of one batch', async () => {
      const open: boolean[] = [feed.isBetween];
      feed.onCommitted = () => {
        open.push(feed.isBetween);
        readsNow();
      };
      batch([relation(), begin(100n), row('1'), commit(100n, 150n), begin(200n), row('2')]);
      open.push(feed.isBetween);
      expect(feed.onCommitted).toBeUndefined();
      batch([row('3'), commit(200n, 250n)]);
      open.push(feed.isBetween);
      expect(open).toEqual([true, true, false, true]);
      readsNow();
      const logged = await readLog(directory, signals);
      expect(
        logged.rows.map(({ action, values: [value], commitLsn, index }) => [action, value, commitLsn, index]),
      ).toEqual([
        ['insert', '1', 100n, 0],
        ['read', 'a', 101n, 0],
        ['insert', '2', 200n, 0],
        ['insert', '3', 200n, 1],
        ['read', 'a', 201n, 0],
      ]);
    });

    test('not where an older connection left a transaction unfinished, unless that is given up', () => {
      batch([relation(), begin(100n), row('1')]);
      reconnect();
      expect(feed.isBetween).toBe(false);
      feed.join({ epoch: 1, history });
      expect(feed.isBetween).toBe(true);
      readsNow();
      expect(log.context).toMatchObject({ epoch: 1, inTransaction: false });
    });

    test('and tells of a boundary behind them: who has replayed all that they show has them', () => {
      const boundaries: (readonly [number, bigint])[] = [];
      feed.onBoundary = (timeline, endLsn) => boundaries.push([timeline, endLsn]);
      batch([relation(), begin(100n), row('1'), commit(100n, 150n)]);
      readsNow();
      expect(boundaries).toEqual([
        [1, 150n],
        [1, 900n],
      ]);
    });
  });

  test('abandons an unfinished transaction in a new epoch', async () => {
    batch([begin(100n), relation(), row('a')]);
    feed.join({ epoch: 1, history });
    batch([begin(150n, 8), relation(), row('b'), commit(150n, 200n)]);
    const { rows } = await readLog(directory, signals);
    expect(rows.at(-1)).toMatchObject({ values: ['b'], commitLsn: 150n, index: 0 });
  });

  test('goes on inside a row in pieces where its pieces end', async () => {
    const long = row('x'.repeat(5000));
    const cut = (from: number, to?: number) => long.subarray(from, to);
    batch([begin(100n), relation(), [RANGE.first, cut(0, 1000)]], long.length);
    batch([[RANGE.next, cut(1000, 2000)]]);
    reconnect();
    batch([begin(100n), relation(), [RANGE.first, cut(0, 500)]], long.length);
    batch([[RANGE.next, cut(500, 2500)]]);
    batch([[RANGE.last, cut(2500)], row('b'), commit(100n, 200n)]);
    const { rows, pieceBytes } = await readLog(directory, signals);
    expect(rows.map((entry) => [entry.action, entry.index])).toEqual([
      ['oversize', 0],
      ['insert', 1],
    ]);
    expect(pieceBytes).toBe(long.length);
  });

  test('opens every segment with the shape of its own first row', async () => {
    await log.close();
    await reopen(400);
    batch([begin(1n), relation(1), row('a'.repeat(200)), commit(1n, 10n)]);
    // The new shape comes in the block that opens the next segment, after a row of the old one.
    batch([
      begin(10n),
      row('b'.repeat(100)),
      relation(2),
      row('c', 2),
      commit(10n, 20n),
      begin(20n),
      row('d', 2),
    ]);
    batch([row('e'.repeat(300), 2), commit(20n, 30n)]);
    expect(await readFromEachSegment()).toEqual(new Set(['a b cc dd ee', 'b cc dd ee', 'dd ee', 'ee']));
  });

  test('opens a segment that begins with a transaction in progress with the shape of before it', async () => {
    await log.close();
    await reopen(400);
    // The new shape comes inside the transaction that gets a block, and here a segment, of its own.
    batch([
      begin(1n),
      relation(1),
      row('a'.repeat(200)),
      commit(1n, 10n),
      begin(10n),
      row('b'.repeat(100)),
      relation(2),
      row('c', 2),
    ]);
    batch([row('d', 2), commit(10n, 20n)]);
    expect(await readFromEachSegment()).toEqual(new Set(['a b cc dd', 'b cc dd', 'dd']));
  });

  /** Whoever begins to read at a segment knows the relations from its opening alone: the rows' first letters, a reading each. */
  async function readFromEachSegment(): Promise<ReadonlySet<string>> {
    const readings = listSegments(directory).map(async ({ startOffset }) => {
      const { rows } = await readLog(directory, signals, { offset: startOffset });
      expect(rows.map(({ columns }) => columns)).toEqual(rows.map(({ values }) => values.length));
      return rows.map(({ values }) => values.map((value) => value?.[0]).join('')).join(' ');
    });
    return new Set(await Promise.all(readings));
  }

  test('a block belongs to the timeline that owns its commits', async () => {
    feed.join({ epoch: 0, history: { current: 2, switches: [{ timeline: 1, switchLsn: 200n as never }] } });
    batch([begin(100n), relation(), row('a'), commit(100n, 200n), begin(200n), row('b'), commit(200n, 300n)]);
    expect((await readLog(directory, signals)).timelines).toEqual(new Set([1, 2]));
  });

  describe('compares a transaction that comes again with what the log has of it', () => {
    const differing: { readonly xid: number; readonly logged: number }[] = [];
    beforeEach(() => void differing.splice(0));

    /** What is on record when the feed goes on, with how much was logged then. */
    const again = async (): Promise<void> => {
      const held = {
        rows: await log.held(),
        differs: ({ xid }: { readonly xid: number }) =>
          void differing.push({ xid, logged: log.context.index }),
      };
      feed.join({ epoch: 0, history, held });
    };
    const restart = async (): Promise<void> => {
      await log.close();
      await reopen(400);
      await again();
    };
    const long = (letter: string) => [RANGE.first, row(letter.repeat(2000))] as const;
    const head = [begin(100n), relation()];
    const tail = [row('y'), row('z'), commit(100n, 200n)];

    test('and says nothing where the same rows come, whatever was cut off, and how often', async () => {
      const rows = 'abcdefghij'.split('').map((letter) => row(letter.repeat(100)));
      await restart();
      batch([begin(50n), relation(), row('0'), commit(50n, 60n)]);
      batch([...head, ...rows.slice(0, 4), truncate()]);
      await again();
      batch([...head, ...rows.slice(0, 4), truncate(), ...rows.slice(4, 7)]);
      await restart();
      batch([...head, ...rows.slice(0, 2)]);
      await restart();
      batch([...head, ...rows.slice(0, 4), truncate(), ...rows.slice(4), ...tail]);
      batch([begin(300n), row('b'), commit(300n, 350n)]);
      expect(differing).toEqual([]);
      expect(await log.held()).toEqual([]);
      expect((await values()).map((value) => value?.[0] ?? '-').join('')).toBe('0abcd-efghijyzb');
    });

    const logged = [row('a'), row('b'), row('c')];
    const others: readonly (readonly [string, readonly Buffer[]])[] = [
      ['one row fewer', [row('a'), row('c')]],
      ['one more', [row('a'), row('more'), row('b'), row('c')]],
      ['another order', [row('b'), row('a'), row('c')]],
      ['another row', [row('a'), row('b'), row('x')]],
      ['a row of another kind', [row('a'), row('b'), truncate()]],
    ];
    test.each(others)('says once that it has %s, before a row behind them is logged', async (_, rows) => {
      batch([...head, ...logged]);
      await again();
      batch([...head, ...rows, ...tail, begin(300n), row('b'), commit(300n, 350n)]);
      expect(differing).toEqual([{ xid: 7, logged: 3 }]);
      // Nothing has the place of another row.
      const { rows: inLog } = await readLog(directory, signals);
      expect(inLog.slice(0, 3).map(({ values: [value] }) => value)).toEqual(['a', 'b', 'c']);
      expect(new Set(inLog.map(({ commitLsn, index }) => `${commitLsn}:${index}`)).size).toBe(inLog.length);
    });

    test.each(others)('says so after a crash as well, where %s comes', async (_, rows) => {
      batch([...head, ...logged]);
      await restart();
      batch([...head, ...rows]);
      // Another crash before all of it has come.
      await restart();
      batch([...head, ...rows, ...tail]);
      expect(differing.at(-1)).toMatchObject({ xid: 7 });
      const known = differing.length;
      await restart();
      batch([begin(300n), relation(), row('b'), commit(300n, 350n)]);
      expect(differing).toHaveLength(known);
    });

    test('says so where it ends before what was logged', async () => {
      batch([...head, ...logged]);
      await again();
      batch([...head, row('a'), row('b'), commit(100n, 200n)]);
      expect(differing).toEqual([{ xid: 7, logged: 3 }]);
      expect(await values()).toEqual(['a', 'b', 'c']);
    });

    test('says so where it does not come at all, as it has no row any more', async () => {
      batch([...head, ...logged]);
      await again();
      const next = [begin(300n, 8), relation(), row('b'), commit(300n, 350n)];
      expect(() => batch(next)).toThrow(/committed at 0\/12C/);
      expect(differing).toEqual([]);
      await restart();
      batch([...next, begin(400n, 9), row('c'), commit(400n, 450n)]);
      expect(differing).toEqual([{ xid: 7, logged: 0 }]);
      expect(await values()).toEqual(['b', 'c']);
    });

    test('knows a row too large to be kept whole by its table and length', async () => {
      const oversize = long('x')[1].length;
      batch([...head, row('a'), long('x')], oversize);
      await again();
      batch([...head, row('a'), long('x')], oversize);
      batch([[RANGE.last, Buffer.alloc(0)], row('b')]);
      expect(differing).toEqual([]);
      await restart();
      batch([...head, long('x')], oversize);
      batch([[RANGE.last, Buffer.alloc(0)], row('a'), row('b')]);
      expect(differing).toHaveLength(1);
    });

    test('is not passed over while that cannot be recorded', async () => {
      batch([...head, ...logged]);
      const held = {
        rows: await log.held(),
        differs: () => {
          throw new Error('no room');
        },
      };
      for (let attempt = 0; attempt < 2; attempt++) {
        feed.join({ epoch: 0, history, held });
        expect(() => batch([...head, row('a'), row('c'), row('d'), ...tail])).toThrow('no room');
      }
      expect(await values()).toEqual(['a', 'b', 'c']);
    });

    test('does not look at one that another epoch has from its beginning', async () => {
      batch([...head, ...logged]);
      const held = { rows: await log.held(), differs: () => expect.fail('it is another one') };
      feed.join({ epoch: 1, history, held });
      batch([...head, row('b'), ...tail]);
      expect((await values()).slice(3)).toEqual(['b', 'y', 'z']);
    });
  });
});

import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert as assertProperty, asyncProperty, integer } from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toLsn, ZERO_LSN, type Lsn } from '../../../../src/core/lsn.ts';
import { SpooledStream, type StreamSource } from '../../../../src/pipeline/source/spool/spooled-stream.ts';
import { RANGE, ReplicationInput, walStartOf } from '../../../../src/postgres/replication/input.ts';
import {
  insertMessage,
  int32,
  int64,
  logicalMessage,
  relationMessage,
  text,
  uint8,
} from '../../../support/pgoutput-messages.ts';
import { backendMessage } from '../../../support/postgres-wire.ts';

const MAX_MESSAGE_BYTES = 4096;

let directory: string;
let spooled: SpooledStream | undefined;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailrace-spool-'));
});
afterEach(() => {
  spooled?.close();
  spooled = undefined;
  rmSync(directory, { recursive: true, force: true });
});

const spoolFiles = (): string[] =>
  existsSync(join(directory, 'spool')) ? readdirSync(join(directory, 'spool')) : [];

// What a server sends, as copy data.
let wal = 0n;
const data = (message: Buffer): Buffer =>
  backendMessage('d', Buffer.concat([Buffer.from('w'), int64((wal += 8n)), int64(wal), int64(0n), message]));
const keepalive = (walEnd: bigint): Buffer =>
  backendMessage('d', Buffer.concat([Buffer.from('k'), int64(walEnd), int64(0n), uint8(0)]));

const tail = (commitLsn: bigint): Buffer =>
  Buffer.concat([int64(commitLsn), int64(commitLsn + 8n), int64(commitLsn * 10n)]);
const begin = (xid: number, commitLsn: bigint): Buffer =>
  Buffer.concat([Buffer.from('B'), int64(commitLsn), int64(commitLsn * 10n), int32(xid)]);
const commit = (commitLsn: bigint): Buffer => Buffer.concat([Buffer.from('C'), uint8(0), tail(commitLsn)]);

const streamStart = (xid: number, isFirst: boolean): Buffer =>
  Buffer.concat([Buffer.from('S'), int32(xid), uint8(isFirst ? 1 : 0)]);
const streamStop = Buffer.from('E');
const streamAbort = (xid: number, subxid = xid): Buffer =>
  Buffer.concat([Buffer.from('A'), int32(xid), int32(subxid)]);
const streamCommit = (xid: number, commitLsn: bigint): Buffer =>
  Buffer.concat([Buffer.from('c'), int32(xid), uint8(0), tail(commitLsn)]);
/** The message as it stands in a part: its xid behind the type. */
const of = (xid: number, message: Buffer): Buffer =>
  Buffer.concat([message.subarray(0, 1), int32(xid), message.subarray(1)]);

const row = (value: string): Buffer => insertMessage(1, [value]);
const relation = (id: number, ...names: string[]): Buffer =>
  relationMessage({
    id,
    schema: 'public',
    table: `t${id}`,
    identity: 'd',
    columns: names.map((name) => ({ name, type: 25 })),
  });

/** A part of a transaction in progress: each message is its own, or a savepoint's. */
const part = (
  xid: number,
  isFirst: boolean,
  ...messages: readonly (Buffer | readonly [number, Buffer])[]
): Buffer[] => [
  data(streamStart(xid, isFirst)),
  ...messages.map((message) =>
    data(Buffer.isBuffer(message) ? of(xid, message) : of(message[0], message[1])),
  ),
  data(streamStop),
];

/** A socket that brings so many bytes at a time. */
function wire(bytes: Buffer, chunkBytes: number): StreamSource {
  const input = new ReplicationInput(MAX_MESSAGE_BYTES);
  let at = 0;
  return {
    get walEnd() {
      return input.walEnd;
    },
    read: () => {
      while (at < bytes.length) {
        input.push(bytes.subarray(at, (at += chunkBytes)));
        if (input.ready) return Promise.resolve(input.take());
      }
      return Promise.resolve(undefined);
    },
  };
}

type Got = {
  /** Whole messages and pieces, as latin1. */
  readonly messages: string[];
  readonly walStarts: bigint[];
  /** After each read, how many messages there were and up to where everything has come. */
  readonly walEnds: { readonly count: number; readonly walEnd: Lsn }[];
  readonly committed: Lsn[];
};

async function readAll(source: StreamSource, got: Got): Promise<Got> {
  for (;;) {
    const batch = await source.read();
    if (batch === undefined) return got;
    for (let i = 0; i < batch.count; i++) {
      const start = batch.starts[i]!;
      const bytes = batch.bytes.toString('latin1', start, batch.ends[i]);
      const isPiece = batch.kinds[i] !== RANGE.whole;
      const note =
        batch.kinds[i] === RANGE.first ? `first of ${batch.oversizeBytes}:` : isPiece ? 'piece:' : '';
      got.messages.push(`${note}${bytes}`);
      if (bytes.startsWith('I') && !isPiece) got.walStarts.push(walStartOf(batch.bytes, start));
    }
    got.walEnds.push({ count: got.messages.length, walEnd: source.walEnd });
  }
}

const nothing = (): Got => ({ messages: [], walStarts: [], walEnds: [], committed: [] });

async function read(
  sent: readonly Buffer[],
  { chunkBytes = 1 << 20, maxBytes = 1 << 20 }: { chunkBytes?: number; maxBytes?: number } = {},
): Promise<Got> {
  const got = nothing();
  spooled = new SpooledStream({
    stream: wire(Buffer.concat(sent), chunkBytes),
    database: 'shop',
    directory,
    maxBytes,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    onCommitted: (lsn) => got.committed.push(lsn),
    onBytes: () => undefined,
  });
  return readAll(spooled, got);
}

/** The same, as a server sends it that waits for the commits. */
const asSent = async (sent: readonly Buffer[]): Promise<Got> =>
  readAll(wire(Buffer.concat(sent), 1 << 20), nothing());

const latin1 = (...messages: readonly Buffer[]): string[] =>
  messages.map((message) => message.toString('latin1'));

describe('transactions in progress', () => {
  test('come whole, at their commits, in the order of these, among all others', async () => {
    const got = await read([
      ...part(5, true, relation(1, 'a'), row('five')),
      data(begin(6, 100n)),
      data(relation(1, 'a')),
      data(row('six')),
      data(commit(100n)),
      ...part(7, true, relation(1, 'a'), row('seven')),
      ...part(5, false, row('five again')),
      data(streamCommit(7, 200n)),
      data(streamCommit(5, 300n)),
    ]);
    expect(got.messages).toEqual(
      latin1(
        begin(6, 100n),
        relation(1, 'a'),
        row('six'),
        commit(100n),
        begin(7, 200n),
        relation(1, 'a'),
        row('seven'),
        commit(200n),
        begin(5, 300n),
        relation(1, 'a'),
        row('five'),
        row('five again'),
        commit(300n),
      ),
    );
    expect(got.committed).toEqual([200n, 300n]);
    expect(spoolFiles()).toEqual([]);
  });

  test('keep the places in the WAL where their rows stand', async () => {
    wal = 1000n;
    const got = await read([...part(5, true, row('a'), row('b')), data(streamCommit(5, 300n))]);
    expect(got.walStarts).toEqual([1016n, 1024n]);
  });

  test('leave nothing of what was undone: savepoints, all of one, one without rows', async () => {
    const got = await read([
      ...part(
        5,
        true,
        relation(1, 'a'),
        row('kept'),
        [8, relation(1, 'a', 'b')],
        [8, row('undone')],
        [9, row('kept too')],
      ),
      data(streamAbort(5, 8)),
      ...part(5, false, relation(1, 'a'), row('last')),
      ...part(6, true, row('gone')),
      data(streamAbort(6)),
      ...part(7, true, [10, row('gone')]),
      data(streamAbort(7, 10)),
      data(streamAbort(99, 98)),
      data(streamCommit(5, 100n)),
      data(streamCommit(7, 200n)),
    ]);
    expect(got.messages).toEqual(
      latin1(
        begin(5, 100n),
        relation(1, 'a'),
        row('kept'),
        row('kept too'),
        relation(1, 'a'),
        row('last'),
        commit(100n),
      ),
    );
    expect(got.committed).toEqual([100n]);
    expect(spoolFiles()).toEqual([]);
  });

  test('pass the origin over, which is the one message without an xid', async () => {
    const origin = Buffer.concat([Buffer.from('O'), int64(0n), text('elsewhere')]);
    const [start, ...rest] = part(5, true, row('a'));
    const got = await read([start!, data(origin), ...rest, data(streamCommit(5, 100n))]);
    expect(got.messages).toEqual(latin1(begin(5, 100n), row('a'), commit(100n)));
  });

  test('hold nothing up: a WAL end counts once what came before it is handed out, and not before (invariant 5)', async () => {
    const got = await read([
      ...part(5, true, row('a')),
      keepalive(50n),
      data(streamCommit(5, 60n)),
      data(begin(6, 70n)),
      data(row('b')),
      data(commit(70n)),
      keepalive(90n),
      ...part(7, true, row('never committed')),
    ]);
    const total = got.messages.length;
    expect(got.walEnds.filter(({ count }) => count < total).map(({ walEnd }) => walEnd)).toEqual(
      got.walEnds.filter(({ count }) => count < total).map(() => ZERO_LSN),
    );
    expect(got.walEnds.at(-1)).toEqual({ count: total, walEnd: toLsn(90n) });
    expect(spoolFiles()).toEqual(['7']);
  });

  test('say nothing of a WAL end that came with the answer to START_REPLICATION before what came with it is handed out', async () => {
    const stream = wire(
      Buffer.concat([data(begin(6, 70n)), data(row('b')), ...part(5, true, row('a'))]),
      1 << 20,
    );
    const source = new SpooledStream({
      stream: { read: () => stream.read(), walEnd: toLsn(90n) },
      database: 'shop',
      directory,
      maxBytes: 1 << 20,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      onCommitted: () => undefined,
      onBytes: () => undefined,
    });
    expect((await source.read())?.count).toBe(2);
    expect(source.walEnd).toBe(ZERO_LSN);
    expect((await source.read())?.count).toBe(0);
    expect(source.walEnd).toBe(90n);
    source.close();
  });

  test('leave time for everything else while they are read back', async () => {
    const rows = Array.from({ length: 100 }, () => row('x'.repeat(4_000)));
    const [passes, got] = [[] as number[], nothing()];
    const source = new SpooledStream({
      stream: wire(Buffer.concat([...part(5, true, ...rows), data(streamCommit(5, 100n))]), 1 << 20),
      database: 'shop',
      directory,
      maxBytes: 1 << 20,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      onCommitted: () => undefined,
      onBytes: () => undefined,
    });
    const ticking = (): void => void (passes.push(got.messages.length), (immediate = setImmediate(ticking)));
    let immediate = setImmediate(ticking);
    await readAll(source, got);
    clearImmediate(immediate);
    source.close();
    expect(got.messages).toHaveLength(102);
    expect(passes.filter((count) => count > 0 && count < 102)).not.toEqual([]);
  });

  test('come the same however the socket cuts them, with rows beyond the limit in pieces', async () => {
    const long = row('x'.repeat(MAX_MESSAGE_BYTES + 500));
    const longest = row('y'.repeat(MAX_MESSAGE_BYTES - long.length + MAX_MESSAGE_BYTES + 500));
    expect(longest.length).toBe(MAX_MESSAGE_BYTES);
    const [a, b, c] = [row('a'), row('b'), row('c')];
    const sent = [
      ...part(5, true, a, long, [8, long], b, longest),
      keepalive(10n),
      data(begin(6, 20n)),
      data(c),
      data(commit(20n)),
      data(streamAbort(5, 8)),
      ...part(5, false, b),
      data(streamCommit(5, 30n)),
    ];
    const expected = joined(
      await asSent([
        ...[begin(6, 20n), c, commit(20n)].map(data),
        ...[begin(5, 30n), a, long, b, longest, b, commit(30n)].map(data),
      ]),
    );
    await assertProperty(
      asyncProperty(integer({ min: 1, max: 3_000 }), async (chunkBytes) => {
        expect(joined(await read(sent, { chunkBytes }))).toEqual(expected);
        expect(spoolFiles()).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  test('describe a table as the server did last, also where that was before their commits', async () => {
    const got = await read([
      ...part(5, true, relation(1, 'a', 'b'), row('five')),
      ...part(6, true, relation(2, 'x'), [8, relation(1, 'z')], row('six')),
      data(begin(7, 100n)),
      data(relation(1, 'a')),
      data(row('seven')),
      data(commit(100n)),
      data(streamAbort(6, 8)),
      ...part(6, false, relation(2, 'x'), row('six')),
      data(streamCommit(5, 200n)),
      data(streamCommit(6, 300n)),
    ]);
    // Before the relation that was sent last.
    const five = [begin(5, 200n), relation(1, 'a', 'b'), row('five'), commit(200n), relation(1, 'a')];
    const six = [begin(6, 300n), relation(2, 'x'), row('six'), relation(2, 'x'), row('six'), commit(300n)];
    expect(got.messages.slice(4)).toEqual(latin1(...five, ...six));
  });

  test('describe it by the part that is kept where a later one is undone', async () => {
    const got = await read([
      ...part(5, true, relation(1, 'a', 'b'), row('five')),
      data(begin(7, 100n)),
      data(relation(1, 'a')),
      data(commit(100n)),
      ...part(5, false, [8, relation(1, 'a', 'b')], [8, row('undone')]),
      data(streamAbort(5, 8)),
      data(streamCommit(5, 200n)),
    ]);
    expect(got.messages.at(-1)).toBe(relation(1, 'a').toString('latin1'));
  });

  test('wait in private files, which are gone with the connection', async () => {
    await read(part(5, true, row('secret')));
    const file = join(directory, 'spool', '5');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, 'spool')).mode & 0o777).toBe(0o700);
    spooled!.close();
    expect(existsSync(file)).toBe(false);
  });
});

describe('a connection is given up for one that asks for whole transactions', () => {
  const GIVEN_UP = { code: 'SPOOL_GIVEN_UP', mend: 'retry' };

  test('where spools would take more than they may', async () => {
    const sent = [...part(5, true, row('x'.repeat(500))), ...part(6, true, row('x'.repeat(500)))];
    await expect(read(sent, { maxBytes: 1_000 })).rejects.toMatchObject(GIVEN_UP);
    await read(sent, { maxBytes: 2_000 });
  });

  test('where reading waits for a disk without room, and spools take some of it', async () => {
    await read([...part(5, true, row('a')), data(streamCommit(5, 10n))]);
    expect(() => spooled!.waits()).not.toThrow();
    await read(part(6, true, row('a')));
    expect(() => spooled!.waits()).toThrow(expect.objectContaining(GIVEN_UP));
  });

  test('where a savepoint is undone, and logical messages may have been written in it', async () => {
    const said = part(5, true, logicalMessage('p', 'x'), [8, row('a')]);
    await expect(read([...said, data(streamAbort(5, 8))])).rejects.toMatchObject(GIVEN_UP);
    const kept = await read([
      ...part(5, true, [8, row('a')]),
      data(streamAbort(5, 8)),
      ...part(5, false, logicalMessage('p', 'x')),
      data(streamCommit(5, 10n)),
    ]);
    expect(kept.messages).toEqual(latin1(begin(5, 10n), logicalMessage('p', 'x'), commit(10n)));
  });

  test('where the disk does not take them', async () => {
    writeFileSync(join(directory, 'spool'), '');
    const source = new SpooledStream({
      stream: wire(Buffer.concat(part(5, true, row('a'))), 100),
      database: 'shop',
      directory: join(directory, 'spool'),
      maxBytes: 1_000,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      onCommitted: () => undefined,
      onBytes: () => undefined,
    });
    await expect(source.read()).rejects.toMatchObject(GIVEN_UP);
  });
});

test('a stream that breaks its own rules is a fault of the bytes', async () => {
  const FAULT = { code: 'PGOUTPUT_MALFORMED' };
  await expect(read([data(streamStop)])).rejects.toMatchObject(FAULT);
  await expect(read(part(5, false, row('a')))).rejects.toMatchObject(FAULT);
  await expect(read([data(streamCommit(5, 10n))])).rejects.toMatchObject(FAULT);
});

/** Pieces put together: where they are cut is the socket's. */
function joined({ messages }: Got): string[] {
  const whole: string[] = [];
  for (const message of messages) {
    if (message.startsWith('piece:')) whole[whole.length - 1] += message.slice('piece:'.length);
    else whole.push(message);
  }
  return whole;
}

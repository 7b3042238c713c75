import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { SETTLED_PARTS } from '../../src/core/change.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { comparePositions, type Position } from '../../src/core/position.ts';
import {
  createLedger,
  highestEpochIn,
  readLedger,
  resetLedger,
  type Ledger,
} from '../../src/store/ledger.ts';
import { ledgerOfVersion1, LIFE, openLedger, recordedFiles } from '../support/ledger.ts';

const IDENTITY = { database: 'shop', sink: 'users' };
const directory = mkdtempSync(join(tmpdir(), 'tailrace-ledger-'));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
const newFile = (): string => join(directory, `${++files}.ledger`);
const at = (commit: number, index: number, epoch = 0): Position => ({
  epoch,
  commitLsn: toLsn(BigInt(commit)),
  index,
});
const change = (position: Position) => ({
  transaction: { epoch: position.epoch, commitLsn: position.commitLsn },
  index: position.index,
});
const cursorAt = (commit: number, index: number) => ({
  position: at(commit, index),
  endLsn: toLsn(BigInt(commit) + 8n),
  timeline: 1,
});
const wasSettled = (ledger: Ledger, p: Position): boolean => ledger.wasSettled(p.epoch, p.commitLsn, p.index);
const whichSettled = (ledger: Ledger, positions: readonly Position[]): boolean[] =>
  positions.map((position) => wasSettled(ledger, position));

test('a new ledger stands on the disk with its first cursor, and everything before that is settled', () => {
  const file = newFile();
  const files = recordedFiles();
  const ledger = createLedger(file, { ...IDENTITY, log: LIFE }, cursorAt(100, 2), files);
  expect(files.calls.filter((call) => call !== 'write')).toEqual([
    'sync',
    `rename to ${file.slice(directory.length + 1)}`,
    'sync directory',
  ]);
  expect(files.calls[0]).toBe('write');
  expect(readLedger(file, IDENTITY)).toMatchObject({
    identity: { ...IDENTITY, log: LIFE },
    restored: { cursor: cursorAt(100, 2) },
    cutBytes: 0,
  });
  expect(whichSettled(ledger, [at(90, 7), at(100, 1), at(100, 2)])).toEqual([true, true, false]);
  expect(ledger.isPastRestored(at(100, 2))).toBe(false);
  expect(ledger.isPastRestored(at(100, 3))).toBe(true);
  ledger.close();
});

test('a file that was never finished is no ledger, and one that was is damaged where it cannot be read', () => {
  const file = newFile();
  openLedger(file, IDENTITY).close();
  const whole = readFileSync(file);
  const first = newFile();
  expect(readLedger(first, IDENTITY)).toBeUndefined();
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(first, whole.subarray(0, length));
    expect(readLedger(first, IDENTITY), `cut at ${length}`).toBeUndefined();
  }
  // The disk knew how long the file is, and not yet what is in it.
  writeFileSync(first, Buffer.alloc(whole.length));
  expect(readLedger(first, IDENTITY)).toBeUndefined();
  for (const place of [0, 20, whole.length - 1]) {
    const bytes = Buffer.from(whole);
    bytes[place]! ^= 1;
    writeFileSync(first, bytes);
    expect(() => readLedger(first, IDENTITY), `byte ${place}`).toThrow(/is not a ledger, or is damaged/);
  }
});

test('what was settled and where the cursor stood is known again after opening', () => {
  const file = newFile();
  const ledger = openLedger(file, IDENTITY);
  ledger.advance(cursorAt(100, 2));
  ledger.settle([change(at(100, 3)), change(at(120, 0))]);
  ledger.close();
  const again = openLedger(file, IDENTITY);
  expect(again.restored).toEqual(cursorAt(100, 2));
  expect([at(90, 9), at(100, 1), at(100, 3), at(120, 0)].map((p) => wasSettled(again, p))).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect([at(100, 2), at(100, 4), at(120, 1), at(130, 0)].map((p) => wasSettled(again, p))).toEqual([
    false,
    false,
    false,
    false,
  ]);
  expect(again.isPastRestored(at(120, 0))).toBe(false);
  expect(again.isPastRestored(at(120, 1))).toBe(true);
  again.close();
});

test('a cursor of a later epoch covers every position of the epochs before', () => {
  const file = newFile();
  const ledger = openLedger(file, IDENTITY);
  ledger.advance({ position: at(50, 1, 1), endLsn: toLsn(58n) });
  ledger.close();
  const again = openLedger(file, IDENTITY);
  expect(wasSettled(again, at(900, 0, 0))).toBe(true);
  expect(wasSettled(again, at(900, 0, 1))).toBe(false);
  again.close();
});

test('a torn record at the end is dropped and writing goes on behind the last whole one', () => {
  const file = newFile();
  const ledger = openLedger(file, IDENTITY);
  ledger.settle([change(at(10, 0))]);
  ledger.write();
  const whole = statSync(file).size;
  ledger.settle([change(at(20, 0))]);
  ledger.close();
  truncateSync(file, statSync(file).size - 1);
  const again = openLedger(file, IDENTITY);
  expect(statSync(file).size).toBe(whole);
  expect(whichSettled(again, [at(10, 0), at(20, 0)])).toEqual([true, false]);
  again.settle([change(at(30, 0))]);
  again.close();
  expect(wasSettled(openLedger(file, IDENTITY), at(30, 0))).toBe(true);
});

test('a flipped byte, any of a record, ends what is believed', () => {
  const file = newFile();
  const ledger = openLedger(file, IDENTITY);
  ledger.settle([change(at(10, 0))]);
  ledger.write();
  const whole = statSync(file).size;
  ledger.settle([change(at(20, 0))]);
  ledger.advance(cursorAt(20, 1));
  ledger.close();
  const bytes = readFileSync(file);
  for (let place = whole; place < whole + 8 + 25; place++) {
    bytes[place]! ^= 1;
    writeFileSync(file, bytes);
    const stored = readLedger(file, IDENTITY)!;
    expect(stored.end, `byte ${place - whole}`).toBe(whole);
    expect(stored.cutBytes).toBe(bytes.length - whole);
    expect(stored.restored.cursor.position).toEqual(at(0, 0));
    expect([10, 20].map((commit) => stored.restored.has(0, toLsn(BigInt(commit)), 0))).toEqual([true, false]);
    bytes[place]! ^= 1;
  }
});

test('after a write that the disk took in part, the next one is whole and nothing behind it is lost', () => {
  // The record is 33 bytes long.
  for (let room = 0; room < 33; room++) {
    const file = newFile();
    const files = recordedFiles();
    const ledger = openLedger(file, IDENTITY, { files });
    ledger.advance(cursorAt(10, 0));
    ledger.write();
    const whole = statSync(file).size;
    ledger.settle([change(at(20, 0))]);
    files.room = room;
    expect(() => ledger.write()).toThrow(/cannot be written: no space left/);
    expect(statSync(file).size).toBe(whole);
    files.room = Infinity;
    ledger.advance(cursorAt(30, 0));
    ledger.close();
    const again = openLedger(file, IDENTITY);
    expect(again.restored, `room for ${room} bytes`).toEqual(cursorAt(30, 0));
    expect(whichSettled(again, [at(20, 0), at(29, 0), at(30, 0)])).toEqual([true, true, false]);
  }
});

test('a process that ends right after a write that was cut finds all that stood before it', () => {
  const file = newFile();
  const files = recordedFiles();
  const ledger = openLedger(file, IDENTITY, { files });
  ledger.advance(cursorAt(10, 0));
  ledger.write();
  ledger.advance(cursorAt(20, 0));
  files.room = 30;
  expect(() => ledger.close()).toThrow(/cannot be written/);
  expect(openLedger(file, IDENTITY).restored).toEqual(cursorAt(10, 0));
});

test('after a sync that failed the ledger is over, and whoever opens it writes what it reads anew', async () => {
  const file = newFile();
  const files = recordedFiles();
  const ledger = openLedger(file, IDENTITY, { files });
  ledger.advance(cursorAt(10, 0));
  files.failSync = true;
  await expect(ledger.sync()).rejects.toMatchObject({ code: 'LEDGER_SYNC_FAILED' });
  files.failSync = false;
  await expect(ledger.sync()).rejects.toMatchObject({ code: 'LEDGER_SYNC_FAILED' });
  expect(() => ledger.write()).toThrow(/could not be made durable/);
  ledger.close();
  files.calls.length = 0;
  const again = openLedger(file, IDENTITY, { files });
  expect(again.restored).toEqual(cursorAt(10, 0));
  expect(files.calls.slice(-3)).toEqual(['sync', expect.stringMatching(/^rename to/), 'sync directory']);
  expect(again.isUnsynced).toBe(false);
  again.close();
});

test('a rewound or compacted ledger is on the disk before it takes the place of the old one', () => {
  const file = newFile();
  const ledger = openLedger(file, IDENTITY);
  ledger.advance(cursorAt(50, 0));
  ledger.close();
  const files = recordedFiles();
  const name = file.slice(directory.length + 1);
  resetLedger(file, { ...IDENTITY, log: LIFE }, cursorAt(20, 0), files);
  expect(files.calls.slice(-4)).toEqual(['write', 'sync', `rename to ${name}`, 'sync directory']);
  const again = openLedger(file, IDENTITY, { files });
  files.calls.length = 0;
  again.compact({ cursor: cursorAt(20, 0), head: at(30, 0), unsettled: [] });
  expect(files.calls.slice(-4)).toEqual(['write', 'sync', `rename to ${name}`, 'sync directory']);
  again.close();
});

test('a ledger that was made anew keeps no file of before open, is durable, and may grow by its own size', () => {
  const openFiles = (): number => readdirSync('/proc/self/fd').length;
  const ledger = openLedger(newFile(), IDENTITY);
  const grow = (from: number, count: number): void => {
    for (let i = from; i < from + count; i += 2) ledger.settle([change(at(i, 0))]);
    ledger.write();
  };
  grow(100, 200_000);
  expect([ledger.wantsCompaction(), ledger.isUnsynced]).toEqual([true, true]);
  const before = openFiles();
  // So many are unsettled that the new file is large itself.
  const unsettled = Array.from({ length: 40_000 }, (_, i) => change(at(101 + 2 * i, 0)));
  ledger.settle([change(at(99, 0))]);
  const snapshot = { cursor: cursorAt(99, 0), head: at(300_000, 0), unsettled };
  ledger.compact(snapshot);
  expect(openFiles()).toBe(before);
  expect([ledger.wantsCompaction(), ledger.isUnsynced]).toEqual([false, false]);
  const { fileBytes } = ledger.sizes;
  expect(fileBytes).toBeGreaterThan(300_000);
  let next = 300_001;
  while (!ledger.wantsCompaction()) grow((next += 4000), 4000);
  expect(ledger.sizes.fileBytes).toBeGreaterThan(Math.max(4 * fileBytes, 1024 * 1024));
  expect(ledger.sizes.fileBytes).toBeLessThan(Math.max(4 * fileBytes, 1024 * 1024) + 200_000);
  ledger.close();
});

test('a file that could not be made anew leaves the old one, nothing beside it, and a ledger that goes on', () => {
  const file = newFile();
  const files = recordedFiles();
  const ledger = openLedger(file, IDENTITY, { files });
  ledger.advance(cursorAt(10, 0));
  ledger.write();
  files.room = 20;
  const snapshot = { cursor: cursorAt(10, 0), head: at(10, 0), unsettled: [] };
  expect(() => ledger.compact(snapshot)).toThrow(/cannot be written/);
  files.room = Infinity;
  files.failSync = true;
  expect(() => ledger.compact(snapshot)).toThrow(/cannot be written/);
  expect(existsSync(`${file}.new`)).toBe(false);
  ledger.advance(cursorAt(20, 0));
  ledger.close();
  expect(openLedger(file, IDENTITY).restored).toEqual(cursorAt(20, 0));
});

test('a sync is asked for while something is not on the disk, and not after it', async () => {
  const ledger = openLedger(newFile(), IDENTITY);
  expect(ledger.isUnsynced).toBe(false);
  ledger.settle([change(at(10, 0))]);
  expect(ledger.isUnsynced).toBe(true);
  ledger.write();
  expect(ledger.isUnsynced).toBe(true);
  const syncing = ledger.sync();
  ledger.settle([change(at(10, 1))]);
  await syncing;
  expect(ledger.isUnsynced).toBe(true);
  await ledger.sync();
  expect(ledger.isUnsynced).toBe(false);
  ledger.close();
});

test('a ledger of version 1 says the same as before, and is of version 2 from then on', () => {
  const file = newFile();
  writeFileSync(
    file,
    ledgerOfVersion1({
      owner: IDENTITY,
      base: { cursor: cursorAt(100, 1), head: at(200, 0), unsettled: [at(100, 1), at(150, 0), at(150, 3)] },
      records: [
        { settled: [at(150, 3), at(210, 0), at(210, 1), at(220, 5)] },
        { cursor: cursorAt(150, 0) },
        { settled: [at(230, 0)] },
      ],
    }),
  );
  expect(readLedger(file, IDENTITY)?.identity).toEqual({ ...IDENTITY, log: undefined });
  for (const version of [1, 2]) {
    expect(readFileSync(file).readUInt32BE(8)).toBe(version);
    const ledger = openLedger(file, IDENTITY);
    expect(ledger.restored).toEqual({ position: at(150, 0), endLsn: 158n });
    const settled = [
      at(100, 1),
      at(149, 9),
      at(150, 1),
      at(150, 3),
      at(199, 0),
      at(210, 1),
      at(220, 5),
      at(230, 0),
    ];
    const open = [at(150, 0), at(200, 0), at(210, 2), at(220, 4), at(230, 1)];
    expect(whichSettled(ledger, settled)).toEqual(settled.map(() => true));
    expect(whichSettled(ledger, open)).toEqual(open.map(() => false));
    expect(ledger.isPastRestored(at(230, 0))).toBe(false);
    ledger.close();
    expect(readLedger(file, IDENTITY)?.identity).toEqual({ ...IDENTITY, log: LIFE });
  }
  // Made and left behind before its first cursor was written.
  writeFileSync(file, ledgerOfVersion1({ owner: IDENTITY, records: [] }));
  expect(readLedger(file, IDENTITY)).toBeUndefined();
});

test('the highest epoch of a directory is that of the ledger that got furthest, whatever else lies there', () => {
  const place = mkdtempSync(join(directory, 'epochs-'));
  expect(highestEpochIn(place)).toBe(-1);
  const ledger = openLedger(join(place, 'users.ledger'), IDENTITY);
  expect(highestEpochIn(place)).toBe(0);
  ledger.settle([change(at(10, 0, 4))]);
  ledger.close();
  openLedger(join(place, 'orders.ledger'), { database: 'shop', sink: 'orders' }).close();
  writeFileSync(join(place, 'broken.ledger'), 'hello, this is not a ledger at all');
  writeFileSync(join(place, 'empty.ledger'), '');
  mkdirSync(join(place, 'directory.ledger'));
  symlinkSync('loop.ledger', join(place, 'loop.ledger'));
  expect(highestEpochIn(place)).toBe(4);
});

test("another sink's ledger, a foreign file and a newer format are refused with a cure", () => {
  const file = newFile();
  openLedger(file, IDENTITY).close();
  expect(() => openLedger(file, { database: 'shop', sink: 'orders' })).toThrow(/belongs to sink "users"/);
  const foreign = newFile();
  writeFileSync(foreign, 'hello, this is not a ledger at all');
  expect(() => openLedger(foreign, IDENTITY)).toThrow(/is not a ledger/);
  const newer = newFile();
  const bytes = readFileSync(file);
  bytes.writeUInt32BE(99, 8);
  appendFileSync(newer, bytes);
  expect(() => openLedger(newer, IDENTITY)).toThrow(/format version 99, newer than 2/);
});

test('a ledger that the file system does not give, or whose place it does not, is an error with a cure', () => {
  const [folder, loop, place] = [newFile(), newFile(), newFile()];
  mkdirSync(folder);
  symlinkSync(loop, loop);
  for (const file of [folder, loop]) {
    expect(() => readLedger(file, IDENTITY)).toThrow(
      expect.objectContaining({
        code: 'LEDGER_UNREADABLE',
        hint: expect.stringContaining('moved away') as string,
      }),
    );
  }
  openLedger(place, IDENTITY).close();
  mkdirSync(`${place}.new`);
  const refused = expect.objectContaining({ code: 'LEDGER_WRITE_FAILED', kind: 'retryable' });
  expect(() => openLedger(place, IDENTITY)).toThrow(refused);
  expect(() => resetLedger(place, { ...IDENTITY, log: LIFE }, cursorAt(5, 0))).toThrow(refused);
  expect(() => createLedger(place, { ...IDENTITY, log: LIFE }, cursorAt(5, 0))).toThrow(refused);
  // What stands there stays, whoever refuses.
  expect(existsSync(place)).toBe(true);
});

test('whatever settles in whatever order, with compactions and crashes between, is known exactly', () => {
  const operation = fc.oneof(
    { weight: 6, arbitrary: fc.nat().map((pick) => ({ kind: 'settle' as const, pick })) },
    { weight: 1, arbitrary: fc.constant({ kind: 'advance' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'compact' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const all: Position[] = [];
      const transactions = new Map<Position, ReturnType<typeof change>['transaction']>();
      for (let commit = 1; commit <= 12; commit++) {
        // Half of them as whole transactions: what follows each other there is one range.
        const { transaction } = change(at(commit * 10, 0));
        for (let index = 0; index < 3; index++) {
          const position = at(commit * 10, index);
          all.push(position);
          if (commit % 2 === 0) transactions.set(position, transaction);
        }
      }
      const changeAt = (position: Position) => ({
        ...change(position),
        ...(transactions.has(position) && { transaction: transactions.get(position)! }),
      });
      const file = newFile();
      let ledger = openLedger(file, IDENTITY);
      const settled = new Set<Position>();
      let head = 0; // everything below has been read
      const cursor = () => {
        const first = all.find((position) => !settled.has(position));
        const position = first ?? at(130, 0);
        return { position, endLsn: position.commitLsn, timeline: 1 };
      };
      for (const operation of operations) {
        if (operation.kind === 'settle') {
          const open = all.filter((position) => !settled.has(position)).slice(0, 8);
          const from = operation.pick % Math.max(1, open.length);
          const some = open.slice(from, from + 1 + (operation.pick % 3));
          for (const position of some) {
            settled.add(position);
            head = Math.max(head, all.indexOf(position) + 1);
          }
          ledger.settle(some.map(changeAt));
        } else if (operation.kind === 'advance') {
          ledger.advance(cursor());
        } else if (operation.kind === 'compact') {
          const unsettled = all
            .slice(0, head)
            .filter((position) => !settled.has(position))
            .map(changeAt);
          ledger.compact({ cursor: cursor(), head: all[head] ?? at(130, 0), unsettled });
        } else {
          ledger.close();
          ledger = openLedger(file, IDENTITY);
        }
      }
      ledger.close();
      ledger = openLedger(file, IDENTITY);
      for (const position of all) expect(wasSettled(ledger, position)).toBe(settled.has(position));
      const beyond = all.filter((position) => ledger.isPastRestored(position));
      expect(beyond.some((position) => settled.has(position))).toBe(false);
      const { restored } = ledger;
      const before = all.filter(
        (other) => restored !== undefined && comparePositions(other, restored.position) < 0,
      );
      expect(before.every((other) => settled.has(other))).toBe(true);
      ledger.close();
    }),
    { numRuns: 60 },
  );
});

test('of a change sent as two messages each half is settled by itself, also through a compaction, until the cursor is past it', () => {
  const file = newFile();
  let ledger = openLedger(file, IDENTITY);
  ledger.settleParts('delete', [change(at(100, 0)), change(at(100, 1)), change(at(110, 0, 1))]);
  ledger.settleParts('insert', [change(at(105, 3))]);
  ledger.settle([change(at(100, 1))]);
  const halves = (): Record<string, boolean[]> => {
    const positions = [at(100, 0), at(105, 3), at(110, 0, 1), at(110, 1, 1)];
    const of = (half: 'delete' | 'insert'): boolean[] =>
      positions.map((p) => ledger.wasPartSettled(half, p.epoch, p.commitLsn, p.index));
    return { delete: of('delete'), insert: of('insert'), whole: whichSettled(ledger, positions) };
  };
  ledger.close();
  ledger = openLedger(file, IDENTITY);
  const expected = {
    delete: [true, false, true, false],
    insert: [false, true, false, false],
    whole: [false, false, false, false],
  };
  expect(halves()).toEqual(expected);
  // The half is what the ledger knows last: it is asked for up to there.
  expect(ledger.isPastRestored(at(110, 0, 1))).toBe(false);
  ledger.compact({
    cursor: cursorAt(100, 0),
    head: at(110, 2, 1),
    unsettled: [
      { ...change(at(100, 0)), settledParts: ['delete'] },
      { ...change(at(105, 3)), settledParts: ['insert'] },
      { ...change(at(110, 0, 1)), settledParts: ['delete'] },
      change(at(110, 1, 1)),
    ],
  });
  ledger.close();
  ledger = openLedger(file, IDENTITY);
  expect(halves()).toEqual(expected);
  expect(wasSettled(ledger, at(100, 1))).toBe(true);
  ledger.close();
});

test.each(SETTLED_PARTS)(
  'what is settled of a change as "%s" is that and no other part, also through a compaction',
  (part) => {
    const file = newFile();
    let ledger = openLedger(file, IDENTITY);
    ledger.settleParts(part, [change(at(100, 0))]);
    ledger.close();
    const parts = (): readonly string[] => {
      ledger = openLedger(file, IDENTITY);
      const settled = SETTLED_PARTS.filter((each) => ledger.wasPartSettled(each, 0, toLsn(100n), 0));
      return wasSettled(ledger, at(100, 0)) ? ['whole'] : settled;
    };
    expect(parts()).toEqual([part]);
    const unsettled = [{ ...change(at(100, 0)), settledParts: [part] }];
    ledger.compact({ cursor: cursorAt(100, 0), head: at(110, 0), unsettled });
    ledger.close();
    expect(parts()).toEqual([part]);
    ledger.close();
  },
);

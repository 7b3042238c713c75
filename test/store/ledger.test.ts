import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { comparePositions, type Position } from '../../src/core/position.ts';
import { openLedger } from '../../src/store/ledger.ts';

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
});
const wasSettled = (ledger: ReturnType<typeof openLedger>, p: Position): boolean =>
  ledger.wasSettled(p.epoch, p.commitLsn, p.index);

test('a new ledger has no cursor and nothing settled', () => {
  const ledger = openLedger(newFile(), IDENTITY);
  expect(ledger.restored).toBeUndefined();
  expect(wasSettled(ledger, at(10, 0))).toBe(false);
  ledger.close();
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
  expect([at(10, 0), at(20, 0)].map((p) => wasSettled(again, p))).toEqual([true, false]);
  again.settle([change(at(30, 0))]);
  again.close();
  expect(wasSettled(openLedger(file, IDENTITY), at(30, 0))).toBe(true);
});

test('a flipped byte ends what is believed', () => {
  const file = newFile();
  const ledger = openLedger(file, IDENTITY);
  ledger.settle([change(at(10, 0))]);
  ledger.write();
  const whole = statSync(file).size;
  ledger.settle([change(at(20, 0))]);
  ledger.close();
  const bytes = readFileSync(file);
  bytes[whole + 12]! ^= 1;
  writeFileSync(file, bytes);
  const again = openLedger(file, IDENTITY);
  expect([at(10, 0), at(20, 0)].map((p) => wasSettled(again, p))).toEqual([true, false]);
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
  expect(() => openLedger(newer, IDENTITY)).toThrow(/format version 99, newer than 1/);
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
      for (let commit = 1; commit <= 12; commit++) {
        for (let index = 0; index < 3; index++) all.push(at(commit * 10, index));
      }
      const file = newFile();
      let ledger = openLedger(file, IDENTITY);
      const settled = new Set<Position>();
      let head = 0; // everything below has been read
      const cursor = () => {
        const first = all.find((position) => !settled.has(position));
        const position = first ?? at(130, 0);
        return { position, endLsn: position.commitLsn };
      };
      for (const operation of operations) {
        if (operation.kind === 'settle') {
          const open = all.filter((position) => !settled.has(position)).slice(0, 8);
          const position = open[operation.pick % Math.max(1, open.length)];
          if (position === undefined) continue;
          settled.add(position);
          head = Math.max(head, all.indexOf(position) + 1);
          ledger.settle([change(position)]);
        } else if (operation.kind === 'advance') {
          ledger.advance(cursor());
        } else if (operation.kind === 'compact') {
          const unsettled = all.slice(0, head).filter((position) => !settled.has(position));
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

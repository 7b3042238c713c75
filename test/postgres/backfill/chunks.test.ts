// What a backfill decides and reads without a server: sizes of chunks, lines of COPY, snapshots, Relation messages.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRowEvent } from '../../../src/core/change.ts';
import { decodeRelation, decodeRow } from '../../../src/pgoutput/messages.ts';
import { encodeRelation } from '../../../src/pgoutput/relation-message.ts';
import { nextChunkSize, smallerChunkSize } from '../../../src/postgres/backfill/chunk-size.ts';
import { ChunkTexts } from '../../../src/postgres/backfill/chunk-texts.ts';
import { CopyRows } from '../../../src/postgres/backfill/copy-rows.ts';
import { keyLiteral } from '../../../src/postgres/backfill/cursor-text.ts';
import { parseSnapshot, sees } from '../../../src/postgres/backfill/snapshot.ts';

const AIMS = { targetMs: 100, targetBytes: 1_000_000, maxSize: 50_000 };

test('a chunk that was quick is followed by a larger one, up to the limit, and one that was slow or wide by a smaller one', () => {
  const after = (size: number, cost: { elapsedMs: number; bytes: number }) =>
    nextChunkSize(size, { size, ...cost }, AIMS);
  expect(after(100, { elapsedMs: 1, bytes: 1000 })).toBe(300);
  expect(after(40_000, { elapsedMs: 1, bytes: 1000 })).toBe(50_000);
  expect(after(1000, { elapsedMs: 400, bytes: 1000 })).toBe(250);
  expect(after(1000, { elapsedMs: 1, bytes: 10_000_000 })).toBe(100);
  expect(after(1, { elapsedMs: 60_000, bytes: 1 })).toBe(1);
  expect(after(100, { elapsedMs: 0, bytes: 0 })).toBe(300);
});

test('a chunk that ended early, or was begun when chunks were smaller, does not make them smaller by being cheap, nor larger by being dear', () => {
  expect(nextChunkSize(900, { size: 7, elapsedMs: 1, bytes: 100 }, AIMS)).toBe(900);
  expect(nextChunkSize(100, { size: 2000, elapsedMs: 400, bytes: 100 }, AIMS)).toBe(100);
});

test('a chunk that the server cut short is tried again smaller, down to one row', () => {
  expect(smallerChunkSize(100)).toBe(25);
  expect(smallerChunkSize(2)).toBe(1);
  expect(smallerChunkSize(1)).toBeUndefined();
});

/** As COPY writes a value: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS */
const copied = (value: string | null): string =>
  value === null
    ? String.raw`\N`
    : value.replaceAll(
        /[\\\b\f\n\r\t\v]/g,
        (character) =>
          `\\${{ '\b': 'b', '\f': 'f', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v' }[character] ?? character}`,
      );

test('any row that COPY writes comes out as the Insert message of that row', () => {
  const event = createRowEvent();
  const value = fc.option(
    fc.string({
      unit: fc.constantFrom('a', 'N', 'ä', '€', '\\', '\t', '\n', '\r', '\b', '\f', '\v', '"', ' '),
    }),
  );
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1, maxLength: 8 }),
      fc.nat(3),
      fc.boolean(),
      (row, key, wanted) => {
        const before = Array.from({ length: key }, (_, i) => `lead\\${i}${'ä'.repeat(40 * i)}`);
        const known = before.map((text) => Buffer.from(text).toString('latin1'));
        const judged = wanted ? ['t'] : [];
        const line = Buffer.from(`${[...judged, ...before, ...row].map(copied).join('\t')}\n`);
        const relation = { id: 4_000_000_000, columns: row.length, key: [] };
        const rows = new CopyRows(relation, { wanted, sized: false, key }, { maxRowBytes: 1_000_000 });
        // Twice: what is scratch holds the line before, then.
        for (let i = 0; i < 2; i++) {
          expect(rows.begin(line, 0)).toBe(true);
          expect(rows.key).toEqual(known);
          rows.row(line, line.length);
        }
        expect(rows.keyBefore).toEqual(known);
        const { bytes: framed, starts, ends, count } = rows.finish();
        expect([count, starts[1], framed.length]).toEqual([2, ends[0]! + 4, ends[1]]);
        expect(framed.readUInt32BE(0)).toBe(ends[0]! - 4);
        decodeRow(framed, starts[1]!, ends[1]!, event);
        const { newTuple, relationId, bytes, action } = event;
        expect([action, relationId]).toEqual(['insert', 4_000_000_000]);
        const read = Array.from({ length: newTuple.columnCount }, (_, i) => {
          const [start, length] = [newTuple.starts[i]!, newTuple.lengths[i]!];
          return length < 0 ? null : bytes.toString('utf8', start, start + length);
        });
        expect(read).toEqual(row);
      },
    ),
  );
});

test('of a row that is larger than rows may be the key is kept alone, with the size of all of it', () => {
  const event = createRowEvent();
  const relation = { id: 7, columns: 4, key: [2, 0] };
  const rows = new CopyRows(relation, { wanted: true, sized: true, key: 1 }, { maxRowBytes: 50 });
  const long = 'x'.repeat(100);
  for (const [leftOut, text] of [
    ['0', 'short'],
    ['0', long],
    ['1234', 'short'],
    ['0', 'short'],
  ] as const) {
    const line = Buffer.from(`t\t${leftOut}\tknown\tb\t${text}\ta\t\\N\n`);
    expect(rows.begin(line, 0)).toBe(true);
    expect(rows.key).toEqual(['known']);
    rows.row(line, line.length);
  }
  const { bytes, starts, ends, count, tooLarge } = rows.finish();
  expect([...tooLarge]).toEqual([
    [1, 8 + 3 * 5 + 1 + 2 + 100],
    [2, 8 + 3 * 5 + 1 + 2 + 5 + 1234],
  ]);
  const texts = Array.from({ length: count }, (_, i) => {
    expect(bytes.readUInt32BE(starts[i]! - 4)).toBe(ends[i]! - starts[i]!);
    decodeRow(bytes, starts[i]!, ends[i]!, event);
    const { newTuple } = event;
    return Array.from({ length: newTuple.columnCount }, (_, at) => {
      const [start, length] = [newTuple.starts[at]!, newTuple.lengths[at]!];
      return length < 0 ? null : event.bytes.toString('utf8', start, start + length);
    });
  });
  const [whole, keyAlone] = [
    ['b', 'short', 'a', null],
    ['b', null, 'a', null],
  ];
  expect(texts).toEqual([whole, keyAlone, keyAlone, whole]);
});

test('a snapshot sees what had ended when it was taken, also where ids have wrapped', () => {
  const plain = parseSnapshot('90:100:95,97');
  expect([89, 94, 95, 97, 99, 100, 101].map((xid) => sees(plain, xid))).toEqual([
    true,
    true,
    false,
    false,
    true,
    false,
    false,
  ]);
  const wrapped = parseSnapshot(`${2n ** 32n - 5n}:${2n ** 32n + 3n}:${2n ** 32n + 1n}`);
  expect([2 ** 32 - 5, 2 ** 32 - 1, 0, 1, 2, 3].map((xid) => sees(wrapped, xid))).toEqual([
    true,
    true,
    true,
    false,
    true,
    false,
  ]);
  expect(sees(parseSnapshot('5:5:'), 4)).toBe(true);
});

test('a Relation message that is made here reads as what it was made of', () => {
  const relation = {
    id: 4_294_967_295,
    schema: 'Größe',
    table: 'täble "x"',
    replicaIdentity: 'index' as const,
    columns: [
      { name: 'id', type: 23, typeModifier: -1, identity: true },
      { name: 'Name', type: 4_000_000_001, typeModifier: 14, identity: false },
    ],
  };
  const bytes = encodeRelation(relation);
  expect(decodeRelation(bytes, 0, bytes.length)).toEqual(relation);
});

test('a key whose bytes are no text stands in a cursor as it is, and in SQL as its bytes', async () => {
  const texts = new ChunkTexts('SQL_ASCII');
  const key = ['17', "it's", 'caf\u00c3\u00a9', "'\u00e9\\"];
  const cursor = await texts.cursor({ client: undefined as never, copiedIn: 'SQL_ASCII' }, key);
  expect(cursor.slice(0, 3)).toEqual(['17', "it's", 'café']);
  const kept = JSON.parse(JSON.stringify(cursor)) as readonly string[];
  expect(kept.map(keyLiteral)).toEqual(["'17'", "'it''s'", "'café'", String.raw`E'\x27\xe9\x5c'`]);
});

// What a backfill decides and reads without a server: sizes of chunks, lines of COPY, snapshots, Relation messages.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../../src/core/byte-writer.ts';
import { createRowEvent } from '../../../src/core/change.ts';
import { decodeRelation, decodeRow } from '../../../src/pgoutput/messages.ts';
import { encodeRelation } from '../../../src/pgoutput/relation-message.ts';
import { nextChunkSize, smallerChunkSize } from '../../../src/postgres/backfill/chunk-size.ts';
import { ChunkTexts } from '../../../src/postgres/backfill/chunk-texts.ts';
import { keyLiteral } from '../../../src/postgres/backfill/cursor-text.ts';
import { CopyLine } from '../../../src/postgres/backfill/copy-line.ts';
import { parseSnapshot, sees } from '../../../src/postgres/backfill/snapshot.ts';

const AIMS = { targetMs: 100, targetBytes: 1_000_000, maxSize: 50_000 };

test('a chunk that was quick is followed by a larger one, up to the limit, and one that was slow or wide by a smaller one', () => {
  expect(nextChunkSize({ size: 100, elapsedMs: 1, bytes: 1000 }, AIMS)).toBe(300);
  expect(nextChunkSize({ size: 40_000, elapsedMs: 1, bytes: 1000 }, AIMS)).toBe(50_000);
  expect(nextChunkSize({ size: 1000, elapsedMs: 400, bytes: 1000 }, AIMS)).toBe(250);
  expect(nextChunkSize({ size: 1000, elapsedMs: 1, bytes: 10_000_000 }, AIMS)).toBe(100);
  expect(nextChunkSize({ size: 1, elapsedMs: 60_000, bytes: 1 }, AIMS)).toBe(1);
  expect(nextChunkSize({ size: 100, elapsedMs: 0, bytes: 0 }, AIMS)).toBe(300);
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
  const line = new CopyLine(64);
  const event = createRowEvent();
  const value = fc.option(
    fc.string({
      unit: fc.constantFrom('a', 'N', 'ä', '€', '\\', '\t', '\n', '\r', '\b', '\f', '\v', '"', ' '),
    }),
  );
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 8 }), fc.nat(3), (row, leading) => {
      const before = Array.from({ length: leading }, (_, i) => `lead\\${i}`);
      line.split(Buffer.from(`${[...before, ...row].map(copied).join('\t')}\n`));
      expect(before.map((_, i) => line.text(i))).toEqual(before);
      const writer = new ByteWriter(16);
      line.writeInsert(writer, 4_000_000_000, leading);
      decodeRow(writer.buffer, 0, writer.length, event);
      const { newTuple, relationId, bytes, action } = event;
      expect([action, relationId]).toEqual(['insert', 4_000_000_000]);
      const read = Array.from({ length: newTuple.columnCount }, (_, i) => {
        const [start, length] = [newTuple.starts[i]!, newTuple.lengths[i]!];
        return length < 0 ? null : bytes.toString('utf8', start, start + length);
      });
      expect(read).toEqual(row);
    }),
  );
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
  const texts = new ChunkTexts(undefined as never, 'SQL_ASCII');
  const key = ['17', "it's", 'caf\u00c3\u00a9', "'\u00e9\\"];
  const cursor = await texts.cursor(key);
  expect(cursor.slice(0, 3)).toEqual(['17', "it's", 'café']);
  const kept = JSON.parse(JSON.stringify(cursor)) as readonly string[];
  expect(kept.map(keyLiteral)).toEqual(["'17'", "'it''s'", "'café'", String.raw`E'\x27\xe9\x5c'`]);
});

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRowEvent, NULL_VALUE, UNCHANGED_TOAST, type Tuple } from '../../src/core/change.ts';
import { TailraceError } from '../../src/core/errors.ts';
import {
  decodeBegin,
  decodeCommit,
  decodeLogicalMessage,
  decodeOrigin,
  decodeRelation,
  decodeRow,
  decodeTruncate,
  decodeType,
  MESSAGE,
  relationIdOfRow,
} from '../../src/pgoutput/messages.ts';
import {
  deleteMessage,
  insertMessage,
  int32,
  int64,
  relationMessage,
  text,
  uint16,
  uint8,
  UNCHANGED,
  updateMessage,
  type Cell,
} from '../support/pgoutput-messages.ts';

// 2026-01-02T03:04:05.123456Z, counted from 2000 and from 1970.
const TIME_ON_THE_WIRE = 820_638_245_123_456n;
const TIME = 1_767_323_045_123_456n;

const begin = Buffer.concat([
  uint8(MESSAGE.begin),
  int64(0xfedc_ba98_7654_3210n),
  int64(TIME_ON_THE_WIRE),
  int32(4_294_967_295),
]);
const commit = Buffer.concat([
  uint8(MESSAGE.commit),
  uint8(0),
  int64(0x1_0000_0000n),
  int64(0x1_0000_0030n),
  int64(TIME_ON_THE_WIRE),
]);
const origin = Buffer.concat([uint8(MESSAGE.origin), int64(77n), text('pg_16393')]);
const type = Buffer.concat([uint8(MESSAGE.type), int32(16_400), text('public'), text('mood')]);
const relation = relationMessage({
  id: 4_000_000_000,
  schema: 'We"ird. Schéma',
  table: "Tab\\le 'x' 表 😀",
  identity: 'i',
  columns: [
    { name: 'id', type: 20, identity: true },
    { name: 'naïve.名', type: 1043, typeModifier: 24 },
  ],
});
const truncate = Buffer.concat([uint8(MESSAGE.truncate), int32(2), uint8(3), int32(16_400), int32(16_401)]);
const logicalMessage = Buffer.concat([
  uint8(MESSAGE.logicalMessage),
  uint8(1),
  int64(99n),
  text('app.é'),
  int32(3),
  Buffer.from([0, 1, 2]),
]);

const event = createRowEvent();
const cellsOf = (tuple: Tuple): (string | number)[] =>
  Array.from({ length: tuple.columnCount }, (_, i) => {
    const start = tuple.starts[i]!;
    const length = tuple.lengths[i]!;
    return length < 0 ? length : event.bytes.toString('utf8', start, start + length);
  });

describe('messages', () => {
  test('Begin tells commit LSN, commit time since 1970 and an unsigned transaction id', () => {
    expect(decodeBegin(begin, 0)).toEqual({
      commitLsn: 0xfedc_ba98_7654_3210n,
      commitTimeUs: TIME,
      xid: 4_294_967_295,
    });
  });

  test('Commit tells the commit record and where it ends', () => {
    expect(decodeCommit(commit, 0)).toEqual({
      commitLsn: 0x1_0000_0000n,
      endLsn: 0x1_0000_0030n,
      commitTimeUs: TIME,
    });
  });

  test('Origin and Type tell their names, and an empty namespace is pg_catalog', () => {
    expect(decodeOrigin(origin, 0)).toEqual({ commitLsn: 77n, name: 'pg_16393' });
    expect(decodeType(type, 0)).toEqual({ id: 16_400, schema: 'public', name: 'mood' });
    const builtIn = Buffer.concat([uint8(MESSAGE.type), int32(16_401), text(''), text('int4')]);
    expect(decodeType(builtIn, 0).schema).toBe('pg_catalog');
  });

  test('Relation keeps multi-byte, quoted and dotted names exactly (C048)', () => {
    expect(decodeRelation(relation, 0)).toEqual({
      id: 4_000_000_000,
      schema: 'We"ird. Schéma',
      table: "Tab\\le 'x' 表 😀",
      replicaIdentity: 'index',
      columns: [
        { name: 'id', type: 20, typeModifier: -1, identity: true },
        { name: 'naïve.名', type: 1043, typeModifier: 24, identity: false },
      ],
    });
  });

  test('Relation tells each of the four replica identities', () => {
    const identities = (['d', 'n', 'f', 'i'] as const).map(
      (identity) =>
        decodeRelation(relationMessage({ id: 1, schema: 's', table: 't', identity, columns: [] }), 0)
          .replicaIdentity,
    );
    expect(identities).toEqual(['default', 'nothing', 'full', 'index']);
  });

  test('Truncate tells its tables and its two flags apart (C084)', () => {
    expect(decodeTruncate(truncate, 0)).toEqual({
      relationIds: [16_400, 16_401],
      cascade: true,
      restartIdentity: true,
    });
    const withFlags = (flags: number) =>
      decodeTruncate(Buffer.concat([uint8(MESSAGE.truncate), int32(0), uint8(flags)]), 0);
    expect(withFlags(1)).toMatchObject({ cascade: true, restartIdentity: false });
    expect(withFlags(2)).toMatchObject({ cascade: false, restartIdentity: true });
  });

  test('a logical message keeps its content byte by byte (C143)', () => {
    expect(decodeLogicalMessage(logicalMessage, 0)).toEqual({
      transactional: true,
      lsn: 99n,
      prefix: 'app.é',
      content: Buffer.from([0, 1, 2]),
    });
  });
});

describe('rows', () => {
  test('an insert has a new row: text, empty text, NULL', () => {
    const message = insertMessage(16_400, ['1', '', null, 'é😀']);
    decodeRow(message, 0, message.length, event);
    expect(event).toMatchObject({ action: 'insert', relationId: 16_400, hasNew: true, oldKind: 'none' });
    expect(cellsOf(event.newTuple)).toEqual(['1', '', NULL_VALUE, 'é😀']);
  });

  test('an update has no old row, an old key or an old row', () => {
    const bare = updateMessage(7, ['1', UNCHANGED]);
    decodeRow(bare, 0, bare.length, event);
    expect(event).toMatchObject({ action: 'update', hasNew: true, oldKind: 'none' });
    expect(cellsOf(event.newTuple)).toEqual(['1', UNCHANGED_TOAST]);

    const keyed = updateMessage(7, ['2', 'x'], { kind: 'key', row: ['1', null] });
    decodeRow(keyed, 0, keyed.length, event);
    expect(event.oldKind).toBe('key');
    expect(cellsOf(event.oldTuple)).toEqual(['1', NULL_VALUE]);
    expect(cellsOf(event.newTuple)).toEqual(['2', 'x']);

    const full = updateMessage(7, ['2', 'x'], { kind: 'full', row: ['2', 'w'] });
    decodeRow(full, 0, full.length, event);
    expect(event.oldKind).toBe('full');
    expect(cellsOf(event.oldTuple)).toEqual(['2', 'w']);
  });

  test('a delete has an old key or an old row, and nothing is left of the row before it', () => {
    const message = deleteMessage(7, { kind: 'key', row: ['1', null] });
    decodeRow(message, 0, message.length, event);
    expect(event).toMatchObject({ action: 'delete', hasNew: false, oldKind: 'key' });
    expect(event.newTuple.columnCount).toBe(0);
    expect(cellsOf(event.oldTuple)).toEqual(['1', NULL_VALUE]);
  });

  test('a table without columns has rows (C051)', () => {
    const message = insertMessage(7, []);
    decodeRow(message, 0, message.length, event);
    expect(event).toMatchObject({ hasNew: true });
    expect(event.newTuple.columnCount).toBe(0);
  });

  test('1600 columns are read, one more is refused (C051)', () => {
    const widest = insertMessage(
      7,
      Array.from({ length: 1600 }, (_, i) => String(i)),
    );
    decodeRow(widest, 0, widest.length, event);
    expect(cellsOf(event.newTuple).at(-1)).toBe('1599');
    const wider = insertMessage(
      7,
      Array.from({ length: 1601 }, () => null),
    );
    expect(() => decodeRow(wider, 0, wider.length, event)).toThrow('more columns than Postgres allows');
  });

  test('the relation of a row is known without decoding it', () => {
    const message = insertMessage(4_000_000_000, ['1']);
    expect(relationIdOfRow(Buffer.concat([Buffer.from('xx'), message]), 2)).toBe(4_000_000_000);
  });

  test('any row is read back, wherever in the buffer it lies', () => {
    const cell: fc.Arbitrary<Cell> = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constant(null),
      fc.constant(UNCHANGED),
    );
    const expected = (row: readonly Cell[]): (string | number)[] =>
      row.map((value) => {
        if (value === null) return NULL_VALUE;
        return value === UNCHANGED ? UNCHANGED_TOAST : (value as string);
      });
    fc.assert(
      fc.property(fc.array(cell), fc.array(cell), fc.nat(50), (newRow, oldRow, before) => {
        const message = updateMessage(7, newRow, { kind: 'full', row: oldRow });
        const buffer = Buffer.concat([Buffer.alloc(before, 'N'), message, Buffer.from('after')]);
        decodeRow(buffer, before, before + message.length, event);
        expect(cellsOf(event.newTuple)).toEqual(expected(newRow));
        expect(cellsOf(event.oldTuple)).toEqual(expected(oldRow));
      }),
    );
  });
});

function failureOf(run: () => unknown): unknown {
  try {
    run();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe('malformed bytes', () => {
  const decodeRowAt = (bytes: Buffer, start: number, end: number): void =>
    decodeRow(bytes, start, end, event);
  const samples: readonly [string, Buffer, (bytes: Buffer, start: number, end: number) => unknown][] = [
    ['Begin', begin, decodeBegin],
    ['Commit', commit, decodeCommit],
    ['Origin', origin, decodeOrigin],
    ['Type', type, decodeType],
    ['Relation', relation, decodeRelation],
    ['Truncate', truncate, decodeTruncate],
    ['Message', logicalMessage, decodeLogicalMessage],
    ['Insert', insertMessage(1, ['abc', null, 'd']), decodeRowAt],
    ['Update', updateMessage(1, ['2', UNCHANGED], { kind: 'key', row: ['1', null] }), decodeRowAt],
    ['Delete', deleteMessage(1, { kind: 'full', row: ['1', 'x'] }), decodeRowAt],
  ];

  test.each(samples)(
    '%s cut at any place is malformed, even if more bytes follow',
    (_name, message, decode) => {
      for (let end = 1; end < message.length; end++) {
        expect(() => decode(message, 0, end)).toThrow(
          expect.objectContaining({ code: 'PGOUTPUT_MALFORMED', kind: 'fatal' }),
        );
      }
    },
  );

  test.each(samples)('%s with a byte too many is malformed', (_name, message, decode) => {
    const longer = Buffer.concat([message, Buffer.from([0])]);
    expect(() => decode(longer, 0, longer.length)).toThrow(
      expect.objectContaining({ code: 'PGOUTPUT_MALFORMED' }),
    );
  });

  test.each(samples)('%s with any byte changed is read or refused with a code', (_name, message, decode) => {
    fc.assert(
      fc.property(fc.nat(message.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const damaged = Buffer.from(message);
        damaged[at] = byte;
        const failure = failureOf(() => decode(damaged, 0, damaged.length));
        expect(failure === undefined || failure instanceof TailraceError).toBe(true);
      }),
    );
  });

  test('a row of an unknown type is refused by name (C242)', () => {
    expect(() => decodeRow(Buffer.from('S12345'), 0, 6, event)).toThrow(
      expect.objectContaining({
        code: 'PGOUTPUT_UNKNOWN_MESSAGE',
        message: expect.stringContaining('0x53') as string,
      }),
    );
  });

  test('a binary column is refused: we never ask for one', () => {
    const binary = Buffer.concat([
      uint8(MESSAGE.insert),
      int32(1),
      Buffer.from('N'),
      uint16(1),
      Buffer.from('b'),
      int32(1),
      Buffer.from([7]),
    ]);
    expect(() => decodeRow(binary, 0, binary.length, event)).toThrow(
      expect.objectContaining({ code: 'PGOUTPUT_MALFORMED' }),
    );
  });

  test('an unknown replica identity is refused', () => {
    const message = Buffer.concat([
      uint8(MESSAGE.relation),
      int32(1),
      text('s'),
      text('t'),
      Buffer.from('x'),
      uint16(0),
    ]);
    expect(() => decodeRelation(message, 0)).toThrow('unknown replica identity');
  });
});

// Chunks beside a stream of changes: whatever commits when, and is seen when, the last word on each row is what the table says.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toLsn } from '../../../../src/core/lsn.ts';
import { FRAME } from '../../../../src/pgoutput/frames.ts';
import { decodeRelation } from '../../../../src/pgoutput/messages.ts';
import { parseSnapshot } from '../../../../src/postgres/backfill/snapshot.ts';
import {
  admit,
  lastEnd,
  openWindow,
  showsAllBefore,
  type Facts,
} from '../../../../src/pipeline/source/backfill/admission.ts';
import { StreamedTransactions } from '../../../../src/pipeline/source/backfill/streamed-transactions.ts';
import { TableWatch } from '../../../../src/pipeline/source/backfill/table-watch.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
} from '../../../support/pgoutput-messages.ts';
import { COLUMNS, RELATION, WAL_BLOCK_BYTES, World } from './world.ts';

const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];
const id = fc.constantFrom(...IDS);
type Step = (world: World) => void;
const which = fc.nat(3);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Step>(({ server }) => server.begin()) },
  {
    weight: 5,
    arbitrary: fc.tuple(which, fc.record({ id, kind: fc.nat(2), to: id })).map(
      ([one, change]): Step =>
        ({ server }) =>
          server.change(one, change),
    ),
  },
  {
    weight: 3,
    arbitrary: which.map(
      (one): Step =>
        ({ server }) =>
          server.commit(one),
    ),
  },
  {
    weight: 3,
    arbitrary: which.map(
      (one): Step =>
        ({ server }) =>
          server.show(one),
    ),
  },
  { weight: 3, arbitrary: fc.constant<Step>((world) => world.stream()) },
  { weight: 2, arbitrary: fc.constant<Step>((world) => world.openWindow()) },
  {
    weight: 4,
    arbitrary: which.map(
      (one): Step =>
        (world) =>
          world.read(one),
    ),
  },
  { weight: 3, arbitrary: fc.constant<Step>((world) => world.letIn()) },
);

/** Some rows are there before anybody streams: only the backfill tells of them. */
function begin(): World {
  const world = new World([IDS.slice(0, 2), IDS.slice(2, 4), IDS.slice(4)]);
  const { server } = world;
  for (const row of ['a', 'b', 'd', 'e']) {
    server.begin();
    server.change(0, { id: row, kind: 0, to: row });
    server.commit(0);
    server.show(0);
  }
  server.past.push(...server.wal.splice(0));
  return world;
}

function finish(world: World): void {
  for (let i = 0; i < 500 && !(world.isDone && i > 100); i++) {
    world.server.commit(0);
    world.server.show(0);
    world.stream();
    world.openWindow();
    world.read(0);
    world.letIn();
  }
}

test('no row comes after a newer change of it, and at the end the consumer has the table, large values too (C199)', () => {
  const total = { letIn: 0, again: 0 };
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const world = begin();
      for (const act of steps) act(world);
      finish(world);
      expect(world.isDone).toBe(true);
      expect(world.stale).toBe(0);
      const told = [...world.consumer].flatMap(([key, { row }]) =>
        row === undefined ? [] : [`${key} ${row.a} ${row.big}`],
      );
      const table = [...world.server.latest].map(([key, { a, big }]) => `${key} ${a} ${big}`);
      expect(told.toSorted()).toEqual(table.toSorted());
      total.letIn += world.letInCount;
      total.again += world.againCount;
    }),
    { numRuns: 1500 },
  );
  // The cases that this is about did come.
  expect(total.letIn).toBeGreaterThan(1000);
  expect(total.again).toBeGreaterThan(50);
});

const NO_ROWS = { bytes: Buffer.alloc(0), count: 0, starts: new Int32Array(0), ends: new Int32Array(0) };

/** A chunk without rows that may go in, unless something has happened in its window. */
function factsWith(inWindow: (watch: TableWatch) => void = () => undefined, key: readonly string[] = ['id']) {
  const watch = new TableWatch(key, { updatesAreTold: true });
  watch.relation(RELATION);
  const streamed = new StreamedTransactions(parseSnapshot('100:100:'), 100n);
  const window = openWindow(streamed, watch, toLsn(100n));
  inWindow(watch);
  const chunk = {
    rows: NO_ROWS,
    snapshot: parseSnapshot('100:100:'),
    walBefore: toLsn(100n),
    watermark: toLsn(200n),
  };
  return {
    window,
    chunk,
    readFrom: 'primary' as const,
    streamed,
    watch,
    keyIndexes: [0],
    reached: toLsn(200n),
    walBlockBytes: WAL_BLOCK_BYTES,
  };
}
/** A chunk that is judged as soon as it has been read. */
const admitted = (facts: Omit<Facts, 'showsAll'> & Parameters<typeof showsAllBefore>[0]) =>
  admit({ ...facts, showsAll: showsAllBefore(facts) });
const row = (watch: TableWatch, message: Buffer): void => watch.row(message, 0, message.length);
const shaped = (watch: TableWatch, identity: 'd' | 'i', columns: typeof COLUMNS): void => {
  const bytes = relationMessage({ id: 1, schema: 'public', table: 't', identity, columns });
  watch.relation(decodeRelation(bytes, 0, bytes.length));
};
const ALL_CHANGED = { verdict: 'again', why: 'all changed' };
const NOT_VISIBLE = { verdict: 'again', why: 'not visible yet' };

describe('a chunk is read again', () => {
  test.each<[string, (watch: TableWatch) => void]>([
    ['a TRUNCATE', (watch) => watch.any()],
    [
      'a row of a shape without the key',
      (watch) => {
        shaped(watch, 'd', COLUMNS.slice(1));
        row(watch, insertMessage(1, ['x', 'y']));
      },
    ],
    [
      'an old row that does not tell the key',
      (watch) => {
        shaped(
          watch,
          'i',
          COLUMNS.map((one) => ({ ...one, identity: one.name === 'a' })),
        );
        row(watch, deleteMessage(1, { kind: 'key', row: [null, 'a', null] }));
      },
    ],
    [
      'an update whose old key would not be told',
      (watch) => {
        shaped(
          watch,
          'i',
          COLUMNS.map((one) => ({ ...one, identity: one.name === 'a' })),
        );
        row(watch, updateMessage(1, ['x', 'a', 'b']));
      },
    ],
  ])('after %s, which may be about any row', (_, inWindow) => {
    expect(admitted(factsWith())).toEqual({ verdict: 'let in', kept: [], partly: [] });
    expect(admitted(factsWith(inWindow))).toEqual(ALL_CHANGED);
  });

  test('of a table without a key after any change, for nobody knows of which row', () => {
    expect(admitted(factsWith(undefined, []))).toMatchObject({ verdict: 'let in' });
    expect(admitted(factsWith((watch) => row(watch, insertMessage(1, ['a', 'b', 'c'])), []))).toEqual(
      ALL_CHANGED,
    );
  });

  test('while a transaction that ran when the connection began has not ended, unless the stream brings it now', () => {
    const streamed = new StreamedTransactions(parseSnapshot('90:100:95'), 100n);
    const facts = factsWith();
    const running = { ...facts, streamed, chunk: { ...facts.chunk, snapshot: parseSnapshot('90:101:95') } };
    expect(admitted(running)).toEqual(NOT_VISIBLE);
    streamed.came(95);
    expect(admitted(running)).toMatchObject({ verdict: 'let in' });
    const ended = new StreamedTransactions(parseSnapshot('90:100:95'), 100n);
    expect(admitted({ ...facts, streamed: ended })).toMatchObject({ verdict: 'let in' });
    // Ids that were given out, behind the last one that had ended: a snapshot does not name them.
    const unnamed = new StreamedTransactions(parseSnapshot('100:100:'), 102n);
    expect(admitted({ ...facts, streamed: unnamed })).toEqual(NOT_VISIBLE);
    const later = { ...facts.chunk, snapshot: parseSnapshot('102:102:') };
    expect(admitted({ ...facts, streamed: unnamed, chunk: later })).toMatchObject({ verdict: 'let in' });
  });

  test('from a standby that had not replayed what the stream had brought', () => {
    const facts = { ...factsWith(), readFrom: 'standby' as const };
    expect(admitted({ ...facts, chunk: { ...facts.chunk, walBefore: toLsn(99n) } })).toEqual(NOT_VISIBLE);
    expect(admitted(facts)).toMatchObject({ verdict: 'let in' });
  });
});

test('a chunk waits until the stream has passed its watermark, which at the beginning of a page is where the page begins (C211, C212)', () => {
  expect(admitted({ ...factsWith(), reached: toLsn(199n) })).toEqual({ verdict: 'wait' });
  const page = BigInt(WAL_BLOCK_BYTES);
  expect(lastEnd(toLsn(page * 3n + 24n), WAL_BLOCK_BYTES)).toBe(page * 3n);
  expect(lastEnd(toLsn(page * 2048n + 40n), WAL_BLOCK_BYTES)).toBe(page * 2048n);
  expect(lastEnd(toLsn(page * 3n + 4096n + 24n), WAL_BLOCK_BYTES)).toBe(page * 3n + 4096n + 24n);
  expect(lastEnd(toLsn(page), WAL_BLOCK_BYTES)).toBe(page);
});

test('what a snapshot has shown is forgotten, in its order, and what comes later keeps its number', () => {
  const streamed = new StreamedTransactions(parseSnapshot('100:100:'), 100n);
  for (let xid = 100; xid < 5100; xid++) streamed.came(xid);
  expect([streamed.count, streamed.kept]).toEqual([5000, 5000]);
  const oneWaits = parseSnapshot('4000:6000:4000');
  streamed.shown(oneWaits);
  expect([streamed.count, streamed.kept]).toEqual([5000, 1100]);
  expect([3900, 3901].map((count) => streamed.areSeenBy(oneWaits, count))).toEqual([true, false]);
  streamed.shown(parseSnapshot('6000:6000:'));
  expect([streamed.count, streamed.kept]).toEqual([5000, 0]);
});

test('a statement that is under way is judged by all that had come before it, whatever later ones have shown meanwhile', () => {
  const streamed = new StreamedTransactions(parseSnapshot('90:100:95'), 100n);
  streamed.came(100);
  const early = streamed.statementBegins();
  const [seesAll, seesLess, noSuspect] = ['102:102:', '95:102:100', '95:102:95'].map(parseSnapshot);
  streamed.shown(seesAll!);
  const late = streamed.statementBegins();
  streamed.shown(seesAll!);
  expect(streamed.areSeenBy(seesLess!, 1)).toBe(false);
  expect(streamed.areSeenBy(noSuspect!, 1)).toBe(false);
  early.ended();
  // The second time it was shown while the other one was under way: what was shown the first time is seen by that.
  expect([streamed.kept, streamed.hasSuspects]).toEqual([0, false]);
  streamed.came(101);
  streamed.shown(seesAll!);
  late.ended();
  expect([streamed.count, streamed.kept]).toEqual([2, 0]);
});

test('a change is remembered as long as a window is open that it came in', () => {
  const { watch } = factsWith();
  row(watch, insertMessage(1, ['a', 'x', 'y']));
  expect([0, 1].map((since) => watch.fateOf('a', since))).toEqual(['newer came', 'let in']);
  watch.forgetBefore(1);
  expect(watch.fateOf('a', 0)).toBe('let in');
});

describe('a row that a table was found not to have', () => {
  const gone = deleteMessage(1, { kind: 'key', row: ['a', null, null] });
  // As it lies in the log.
  gone[0] = FRAME.read;
  const rows = { bytes: gone, count: 1, starts: Int32Array.of(0), ends: Int32Array.of(gone.length) };
  const verdict = (inWindow?: (watch: TableWatch) => void) => {
    const facts = factsWith(inWindow);
    return admitted({ ...facts, chunk: { ...facts.chunk, rows } });
  };

  test('is told of as a delete, where nothing of its key came meanwhile', () => {
    expect(verdict()).toEqual({ verdict: 'let in', kept: [0], partly: [] });
    expect(verdict((watch) => row(watch, insertMessage(1, ['b', 'x', 'y'])))).toMatchObject({ kept: [0] });
  });

  test.each<[string, Buffer]>([
    ['an insert', insertMessage(1, ['a', 'x', 'y'])],
    ['an update that leaves a large value out', updateMessage(1, ['a', 'x', UNCHANGED])],
    [
      'another row that took the key',
      updateMessage(1, ['a', 'x', 'y'], { kind: 'key', row: ['b', null, null] }),
    ],
    ['its own delete', deleteMessage(1, { kind: 'key', row: ['a', null, null] })],
  ])(
    'is not, where the stream brought %s, which is newer; nor is anything read again for it',
    (_, message) => {
      expect(verdict((watch) => row(watch, message))).toEqual({ verdict: 'let in', kept: [], partly: [] });
    },
  );
});

test('a row that has come whole once is not read again for values that later changes leave out', () => {
  const { watch } = factsWith();
  row(watch, insertMessage(1, ['a', 'x', 'y']));
  for (const id of ['a', 'b']) row(watch, updateMessage(1, [id, 'z', UNCHANGED]));
  expect(['a', 'b'].map((key) => watch.fateOf(key, 0))).toEqual(['newer came', 'part came']);
});

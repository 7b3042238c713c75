// Row numbers: the source, the log, a sink's walker and `tail` each number the rows of a transaction, and must agree.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createPrinter } from '../../src/cli/tail/printer.ts';
import { createRowEvent } from '../../src/core/change.ts';
import { ZERO_LSN } from '../../src/core/lsn.ts';
import { ORIGIN } from '../../src/core/position.ts';
import { advance } from '../../src/log/context.ts';
import type { LogBlock } from '../../src/log/block.ts';
import type { Enrichment } from '../../src/pgoutput/enrichment.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../../src/pgoutput/frames.ts';
import { decodeRow, decodeTruncate, MESSAGE } from '../../src/pgoutput/messages.ts';
import { isRow, rowEventsIn } from '../../src/pgoutput/row-numbers.ts';
import { LogWalker } from '../../src/pipeline/intake/log-walker.ts';
import { LogFeed } from '../../src/pipeline/source/feed.ts';
import { RelationsInForce } from '../../src/pipeline/source/relations-in-force.ts';
import { RANGE } from '../../src/postgres/replication/stream.ts';
import { ShapeProofs } from '../../src/postgres/shapes/proofs.ts';
import { begin, commit } from '../log/stream.ts';
import { patient } from '../support/messages.ts';
import { MemoryLog } from '../support/log-blocks.ts';
import {
  deleteMessage,
  insertMessage,
  int32,
  int64,
  logicalMessage,
  relationMessage,
  text,
  truncateMessage,
  uint8,
  updateMessage,
} from '../support/pgoutput-messages.ts';

const TABLES = [1, 2, 3] as const;
const enrichmentOf = (relationId: number): Enrichment => ({ relationId, key: undefined, types: new Map() });

/** What the server sends inside a transaction. `pieces`: it is too large to be read whole, and comes in so many. */
type Sent =
  | { readonly kind: 'insert' | 'update' | 'delete'; readonly table: number; readonly pieces: number }
  | { readonly kind: 'truncate'; readonly tables: readonly number[] }
  | { readonly kind: 'marker'; readonly pieces: number }
  | { readonly kind: 'origin' | 'type' }
  | { readonly kind: 'relation'; readonly table: number };

/** A message as it comes off the socket, in one range or in pieces. `rows`: names of the row events that it is. */
type Message = { readonly ranges: readonly Buffer[]; readonly totalBytes: number; readonly rows: string[] };

const table = fc.constantFrom(...TABLES);
const pieces = fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 3 }));
const sent: fc.Arbitrary<Sent> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('insert', 'update', 'delete'), table, pieces }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('truncate'), tables: fc.uniqueArray(table, { minLength: 1 }) }),
  },
  fc.record({ kind: fc.constant('marker'), pieces }),
  fc.record({ kind: fc.constantFrom('origin', 'type') }),
  fc.record({ kind: fc.constant('relation'), table }),
);
const relation = (id: number): Buffer =>
  relationMessage({
    id,
    schema: 'public',
    table: `t${id}`,
    identity: 'd',
    columns: [{ name: 'id', type: 25, identity: true }],
  });

function rowMessage(kind: 'insert' | 'update' | 'delete', relationId: number, name: string): Buffer {
  if (kind === 'insert') return insertMessage(relationId, [name]);
  if (kind === 'update') return updateMessage(relationId, [name], { kind: 'key', row: ['old'] });
  return deleteMessage(relationId, { kind: 'key', row: [name] });
}

/** Cut in so many pieces; the first has at least the message's type and relation. */
function cut(bytes: Buffer, count: number): Buffer[] {
  const ranges = [bytes.subarray(0, 5)];
  for (let n = 1; n < count; n++) ranges.push(bytes.subarray(4 + n, 5 + n));
  return [...ranges, bytes.subarray(4 + count)];
}

/** `number`: of the message in the whole stream. It names the row: of an oversize one its length does. */
function messageOf(what: Sent, number: number): Message {
  const whole = (bytes: Buffer, rows: string[] = []): Message => ({ ranges: [bytes], totalBytes: 0, rows });
  const inPieces = (bytes: Buffer, count: number, rows: string[] = []): Message =>
    count === 0 ? whole(bytes, rows) : { ranges: cut(bytes, count), totalBytes: number, rows };
  switch (what.kind) {
    case 'insert':
    case 'update':
    case 'delete': {
      const name = what.pieces > 0 ? `oversize ${number}` : `row ${number}`;
      return inPieces(rowMessage(what.kind, what.table, name), what.pieces, [name]);
    }
    case 'truncate':
      return whole(
        truncateMessage(what.tables),
        what.tables.map((id) => `truncate t${id}`),
      );
    case 'marker':
      return inPieces(logicalMessage('app', `note ${number}`), what.pieces);
    case 'origin':
      return whole(Buffer.concat([uint8(MESSAGE.origin), int64(1n), text('elsewhere')]));
    case 'type':
      return whole(Buffer.concat([uint8(MESSAGE.type), int32(20_000), text('public'), text('mood')]));
    case 'relation':
      return whole(relation(what.table));
    default:
      return what satisfies never;
  }
}

const transactionAt = (place: number) => ({ commitLsn: BigInt(100 * (place + 1)), rows: 0 });

/** The transactions as a server sends them on every connection; relations come before the first row of each connection. */
function transactionsOf(contents: readonly (readonly Sent[])[]): Message[][] {
  let number = 0;
  const own = (bytes: Buffer): Message => ({ ranges: [bytes], totalBytes: 0, rows: [] });
  return contents.map((content, place) => [
    own(begin(transactionAt(place))),
    ...content.map((what) => messageOf(what, ++number)),
    own(commit(transactionAt(place))),
  ]);
}

/** What is right: `commit LSN:number name` of each row event. */
const expectedOf = (transactions: readonly (readonly Message[])[]): string[] =>
  transactions.flatMap((messages, place) =>
    messages
      .flatMap(({ rows }) => rows)
      .map((name, index) => `${transactionAt(place).commitLsn}:${index} ${name}`),
  );

/** Where the connection is lost, how many whole transactions come again after it, and where blocks end. */
type Weather = {
  readonly lost: readonly number[];
  readonly again: number;
  readonly blockEnds: readonly boolean[];
};

/** The source: what it logs, when connections are lost and everything comes again from some transaction on. */
function feed(transactions: readonly (readonly Message[])[], weather: Weather): LogBlock[] {
  const log = new MemoryLog();
  const feeds = new LogFeed(log, new RelationsInForce(), { epoch: 0, history: { current: 1, switches: [] } });
  const lost = [...weather.lost];
  let taken = 0;
  const described = new Set<number>();
  const describe = (bytes: Buffer): void => {
    const ids =
      bytes[0] === MESSAGE.truncate
        ? decodeTruncate(bytes, 0).relationIds
        : isRow(bytes[0]!)
          ? [bytes.readUInt32BE(1)]
          : [];
    for (const id of ids.filter((id) => !described.has(id))) {
      described.add(id);
      const message = relation(id);
      feeds.relation(message, 0, message.length, enrichmentOf(id));
    }
  };
  const take = (bytes: Buffer, kind: number, totalBytes: number): void => {
    if (kind === RANGE.whole || kind === RANGE.first) describe(bytes);
    const batch = { bytes, count: 1, starts: Int32Array.of(0), ends: Int32Array.of(bytes.length) };
    const next = feeds.take({ ...batch, kinds: Uint8Array.of(kind), oversizeBytes: totalBytes }, 0);
    if (next === 0) feeds.relation(bytes, 0, bytes.length, enrichmentOf(bytes.readUInt32BE(1)));
    if (weather.blockEnds[taken++ % weather.blockEnds.length] === true) feeds.flush();
  };
  /** Answers whether the connection has lasted. */
  const send = ({ ranges, totalBytes }: Message): boolean => {
    for (const [i, bytes] of ranges.entries()) {
      const last = i === ranges.length - 1;
      take(
        bytes,
        totalBytes === 0 ? RANGE.whole : i === 0 ? RANGE.first : last ? RANGE.last : RANGE.next,
        totalBytes,
      );
      if (lost[0] === undefined || taken < lost[0]) continue;
      lost.shift();
      return false;
    }
    return true;
  };
  for (let place = 0; place < transactions.length; place++) {
    const messages = transactions[place]!;
    if (messages.every(send)) continue;
    feeds.flush();
    described.clear();
    feeds.join({ epoch: 0, history: { current: 1, switches: [] } });
    place = Math.max(-1, place - 1 - weather.again);
  }
  feeds.flush();
  return log.blocks;
}

const event = createRowEvent();
/** The name of a whole row: its one column. */
function nameOf(bytes: Buffer, start: number, end: number): string {
  decodeRow(bytes, start, end, event);
  const tuple = event.hasNew ? event.newTuple : event.oldTuple;
  return bytes.toString('utf8', tuple.starts[0], tuple.starts[0]! + tuple.lengths[0]!);
}

/** The log: the number that it gives to the first row event of each frame, by the context before it. */
function numberedByLog(blocks: readonly LogBlock[]): string[] {
  const rows: string[] = [];
  for (const { buffer, start, end, context } of blocks) {
    for (let at = start; at < end; at += FRAME_HEADER_BYTES + buffer.readUInt32BE(at)) {
      const { commitLsn, index } = advance(context, buffer, start, at).context;
      const body = at + FRAME_HEADER_BYTES;
      const next = body + buffer.readUInt32BE(at);
      const type = buffer[body];
      if (type === FRAME.insert || type === FRAME.update || type === FRAME.delete) {
        rows.push(`${commitLsn}:${index} ${nameOf(buffer, body, next)}`);
      } else if (type === FRAME.oversize) {
        rows.push(`${commitLsn}:${index} oversize ${buffer.readBigUInt64BE(body + 6)}`);
      } else if (type === FRAME.truncate) {
        const { relationIds } = decodeTruncate(buffer, body, next);
        rows.push(...relationIds.map((id, i) => `${commitLsn}:${index + i} truncate t${id}`));
      }
    }
  }
  return rows;
}

/** A sink. */
function numberedByWalker(blocks: readonly LogBlock[]): string[] {
  const rows: string[] = [];
  const walker = new LogWalker(
    'key',
    { position: ORIGIN, endLsn: ZERO_LSN, offset: 0 },
    {
      marker: (transaction) => transaction,
      markersLost: () => undefined,
      committed: () => undefined,
      relation: () => undefined,
      row: ({ transaction, index, bytes, start, end }) =>
        void rows.push(`${transaction.commitLsn}:${index} ${nameOf(bytes, start, end)}`),
      truncate: ({ transaction, index, relationId }) =>
        rows.push(`${transaction.commitLsn}:${index} truncate t${relationId}`),
      reads: () => undefined,
      oversize: ({ transaction, index, rawBytes }) =>
        rows.push(`${transaction.commitLsn}:${index} oversize ${rawBytes}`),
      letIn: () => true,
    },
  );
  for (const block of blocks) void walker.block(block, patient);
  return rows;
}

type Line = {
  readonly action: string;
  readonly record: { readonly id?: string };
  readonly metadata: {
    readonly commit_lsn: number;
    readonly commit_idx: number;
    readonly table_name: string;
  };
};

/** `tail`: it has one connection, and prints no oversize row. */
async function numberedByPrinter(transactions: readonly (readonly Message[])[]): Promise<string[]> {
  const rows: string[] = [];
  const printer = createPrinter({
    format: 'sequin',
    database: 'app',
    hostname: 'localhost',
    timeline: 1,
    streamKey: 'key',
    selection: {},
    say: () => undefined,
    enrich: ({ id }) => Promise.resolve(enrichmentOf(id)),
    // No table has a composite: nobody is asked.
    proofs: new ShapeProofs({
      client: undefined as never,
      seenSince: () => undefined,
      changed: () => Promise.resolve(),
      becameText: () => undefined,
      remembered: undefined,
    }),
    print: (line) => {
      const { action, record, metadata } = JSON.parse(line) as Line;
      const name = action === 'truncate' ? `truncate ${metadata.table_name}` : record.id!;
      rows.push(`${metadata.commit_lsn}:${metadata.commit_idx} ${name}`);
    },
  });
  for (const id of TABLES) await printer.take(relation(id), 0, relation(id).length);
  for (const { ranges, totalBytes } of transactions.flat()) {
    if (totalBytes > 0) printer.skip(ranges[0]!, 0);
    else await printer.take(ranges[0]!, 0, ranges[0]!.length);
  }
  return rows;
}

const weather: fc.Arbitrary<Weather> = fc.record({
  lost: fc
    .uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 4 })
    .map((all) => all.toSorted((a, b) => a - b)),
  again: fc.integer({ min: 0, max: 2 }),
  blockEnds: fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
});

test('the source, the log, a sink and tail give the same number to each row event', async () => {
  const contents = fc.array(fc.array(sent, { maxLength: 12 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(contents, weather, async (content, how) => {
      const transactions = transactionsOf(content);
      const expected = expectedOf(transactions);
      const blocks = feed(transactions, how);
      expect(numberedByLog(blocks)).toEqual(expected);
      expect(numberedByWalker(blocks)).toEqual(expected);
      const printed = expected.filter((row) => !row.includes('oversize'));
      expect(await numberedByPrinter(transactions)).toEqual(printed);
    }),
    { numRuns: 500 },
  );
});

test('a TRUNCATE counts once for each of its tables, a row once, and nothing else at all', () => {
  expect(rowEventsIn(truncateMessage([1, 2, 3]), 0)).toBe(3);
  expect(rowEventsIn(Buffer.concat([Buffer.from('xy'), truncateMessage([1])]), 2)).toBe(1);
  const counting = [...Array(256).keys()].filter(
    (kind) => kind !== MESSAGE.truncate && rowEventsIn(Buffer.from([kind]), 0) !== 0,
  );
  expect(counting.map((kind) => String.fromCharCode(kind)).sort()).toEqual(['D', 'I', 'U', 'o', 'r']);
});

test('of what is too large to be read whole only rows count', () => {
  const rows = Object.values(FRAME).filter(isRow);
  expect(rows.map((kind) => String.fromCharCode(kind)).sort()).toEqual(['D', 'I', 'U', 'r']);
});

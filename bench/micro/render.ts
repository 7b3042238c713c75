// Micro-benchmark of the hot path: pgoutput bytes → message JSON, in µs a row. Run: npx node bench/micro/render.ts
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { createRowEvent, type Relation, type TransactionContext } from '../../src/core/change.ts';
import { ZERO_LSN, toLsn } from '../../src/core/lsn.ts';
import type { Envelope, FormatName, RenderContext } from '../../src/formats/format.ts';
import { formats } from '../../src/formats/registry.ts';
import { decodeRow } from '../../src/postgres/pgoutput.ts';
import { compileValue } from '../../src/postgres/values.ts';

const ROWS = 300_000;
const ROUNDS = 7;

/** The table of the end-to-end benchmark (docs: performance). */
const COLUMNS: readonly (readonly [name: string, type: number, text: string])[] = [
  ['id', 23, '123456'],
  ['string_field', 25, 'The quick brown fox jumps over the lazy dog, twice a day'],
  ['numeric_field', 1700, '12345.6789'],
  ['timestamp_field', 1184, '2026-01-02 03:04:05.123456+00'],
  ['json_field', 3802, '{"a": 1, "b": "some text", "c": [1, 2, 3]}'],
  ['inserted_at', 1114, '2026-01-02 03:04:05.123456'],
  ['updated_at', 1114, '2026-01-02 03:04:05.123456'],
];

const relation: Relation = {
  id: 16_400,
  schema: 'public',
  table: 'records',
  replicaIdentity: 'default',
  columns: COLUMNS.map(([name, type], i) => ({ name, type, typeModifier: -1, identity: i === 0 })),
  key: ['id'],
  types: new Map(),
};

const envelope: Envelope = {
  sinkName: 'records',
  sinkId: '0b0c6c0e-4b0f-4f0a-9d7c-0a3a1f0e7b11',
  sinkAnnotations: {},
  databaseName: 'shop',
  databaseId: '7c1f4f0c-1d7a-4e55-8d4b-5a0f3f6f9c22',
  databaseAnnotations: {},
  postgresDatabase: 'app',
  hostname: 'db-1',
  commitTimeColumn: undefined,
};

function tuple(marker: string): Buffer {
  const head = Buffer.from(`${marker}\0\0`, 'latin1');
  head.writeUInt16BE(COLUMNS.length, 1);
  const columns = COLUMNS.map(([, , text]) => {
    const prefix = Buffer.from('t\0\0\0\0', 'latin1');
    prefix.writeUInt32BE(Buffer.byteLength(text), 1);
    return Buffer.concat([prefix, Buffer.from(text)]);
  });
  return Buffer.concat([head, ...columns]);
}

/** As many messages as a block of the log holds, so that the bytes are not always the same cache lines. */
const MESSAGES = 1000;
const relationId = Buffer.alloc(4);
relationId.writeUInt32BE(relation.id);
const message = Buffer.concat([Buffer.from('I'), relationId, tuple('N')]);
const block = Buffer.concat(Array.from({ length: MESSAGES }, () => message));

const transaction: TransactionContext = {
  epoch: 0,
  commitLsn: toLsn(0x16_b374_d848n),
  previousEndLsn: ZERO_LSN,
  commitTimeUs: 1_767_323_045_123_456n,
  xid: 731,
  timeline: 1,
};
const context: RenderContext = {
  transaction,
  index: 123,
  keyChange: false,
  idempotencyKey: 'k3q9z1x8c7v6-1-16B374D848-123',
  severalActions: true,
};

function planOf(name: FormatName) {
  const format = formats[name];
  const numeric = name === 'pg2sqs' ? 'float' : 'string';
  const options = {
    numeric,
    json: 'embed',
    bytea: 'hex',
    zonelessTimestampZ: format.zonelessTimestampZ,
  } as const;
  return format.compile({
    encoding: 'json',
    relation,
    columns: relation.columns.map(({ name, type }, index) => ({
      index,
      name,
      render: compileValue(type, relation.types, options),
    })),
    envelope,
  });
}

const event = createRowEvent();
const writer = new ByteWriter();

function decodeAt(row: number): void {
  const start = (row % MESSAGES) * message.length;
  decodeRow(block, start, start + message.length, event);
}

/** Median of the rounds, the first two being warm-up. */
function measure(title: string, row: (row: number) => void): void {
  const microseconds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const began = process.hrtime.bigint();
    for (let i = 0; i < ROWS; i++) {
      if (writer.length > 1_000_000) writer.reset();
      row(i);
    }
    microseconds.push(Number(process.hrtime.bigint() - began) / 1000 / ROWS);
  }
  const median = microseconds.slice(2).sort((a, b) => a - b)[Math.floor((ROUNDS - 2) / 2)]!;
  console.log(`${title.padEnd(44)} ${median.toFixed(2)} µs/row`);
}

const sequin = planOf('sequin');
const pg2sqs = planOf('pg2sqs');
decodeAt(0);
sequin.render(event, context, writer);
const rendered = writer.buffer.toString('utf8', 0, writer.length);
writer.reset();

console.log(`row of ${message.length} bytes, message of ${rendered.length} bytes (sequin)`);
measure('decode', decodeAt);
measure('decode + render sequin', (row) => {
  decodeAt(row);
  sequin.render(event, context, writer);
});
measure('decode + render pg2sqs', (row) => {
  decodeAt(row);
  pg2sqs.render(event, context, writer);
});
measure('JSON.parse + JSON.stringify of the message', () => {
  writer.text(JSON.stringify(JSON.parse(rendered)));
});

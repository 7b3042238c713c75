// The bench's table and its rows as pgoutput sends them, for the micro-benchmarks and the guard in the tests.
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { wallMs } from '../../src/core/clock.ts';
import type { MessageEncoding } from '../../src/core/encoding.ts';
import { ROW_ACTIONS, type Relation, type TransactionContext } from '../../src/core/change.ts';
import { writeIdempotencyKey } from '../../src/core/idempotency.ts';
import { ZERO_LSN, toLsn } from '../../src/core/lsn.ts';
import {
  renderOptions,
  type Envelope,
  type MessageFormat,
  type RenderContext,
  type RenderPlan,
} from '../../src/formats/format.ts';
import type { FormatName } from '../../src/formats/names.ts';
import { formats } from '../../src/formats/registry.ts';
import { compileMasks } from '../../src/functions/columns/masks.ts';
import { NO_RULES, type ColumnRules } from '../../src/functions/columns/rules.ts';
import { rowMembers } from '../../src/pipeline/intake/columns/row-members.ts';
import { compileColumn } from '../../src/postgres/values/values.ts';

export const COLUMNS: readonly (readonly [name: string, type: number, text: string])[] = [
  ['id', 23, '123456'],
  ['string_field', 25, 'The quick brown fox jumps over the lazy dog, twice a day'],
  ['numeric_field', 1700, '12345.6789'],
  ['timestamp_field', 1184, '2026-01-02 03:04:05.123456+00'],
  ['json_field', 3802, '{"a": 1, "b": "some text", "c": [1, 2, 3]}'],
  ['inserted_at', 1114, '2026-01-02 03:04:05.123456'],
  ['updated_at', 1114, '2026-01-02 03:04:05.123456'],
];

export const relation: Relation = {
  id: 16_400,
  schema: 'public',
  table: 'records',
  replicaIdentity: 'default',
  columns: COLUMNS.map(([name, type], i) => ({ name, type, typeModifier: -1, identity: i === 0 })),
  key: ['id'],
  types: new Map(),
};

export const envelope: Envelope = {
  sinkName: 'records',
  sinkId: '0b0c6c0e-4b0f-4f0a-9d7c-0a3a1f0e7b11',
  sinkAnnotations: {},
  databaseName: 'shop',
  databaseId: '7c1f4f0c-1d7a-4e55-8d4b-5a0f3f6f9c22',
  databaseAnnotations: {},
  postgresDatabase: 'app',
  hostname: 'db-1',
};

export const transaction: TransactionContext = {
  epoch: 0,
  commitLsn: toLsn(0x16_b374_d848n),
  previousEndLsn: ZERO_LSN,
  commitTimeUs: 1_767_323_045_123_456n,
  xid: 731,
  timeline: 1,
};

export const renderContext: RenderContext = {
  transaction,
  index: 123,
  keyChange: false,
  moved: undefined,
  read: false,
  key: { writeKey: (writer) => writeIdempotencyKey('k3q9z1x8c7v6-1-16B374D848', 123, writer) },
};

/** An Insert message of the row with this id. https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html */
export function insertMessage(id: number): Buffer {
  const head = Buffer.from('I\0\0\0\0N\0\0', 'latin1');
  head.writeUInt32BE(relation.id, 1);
  head.writeUInt16BE(COLUMNS.length, 6);
  const columns = COLUMNS.map(([name, , text]) => {
    const value = Buffer.from(name === 'id' ? String(id) : text);
    const prefix = Buffer.from('t\0\0\0\0', 'latin1');
    prefix.writeUInt32BE(value.length, 1);
    return Buffer.concat([prefix, value]);
  });
  return Buffer.concat([head, ...columns]);
}

/** Messages one behind the other, as many as a block of the log holds: not always the same cache lines. */
export type MessageBlock = { readonly bytes: Buffer; readonly ends: readonly number[] };

const BLOCK_MESSAGES = 1_000;
const FIRST_ID = 100_000;

export function messageBlock(): MessageBlock {
  const writer = new ByteWriter();
  const ends: number[] = [];
  for (let i = 0; i < BLOCK_MESSAGES; i++) {
    writer.bytes(insertMessage(FIRST_ID + i));
    ends.push(writer.length);
  }
  return { bytes: writer.buffer.subarray(0, writer.length), ends };
}

type Rules = Partial<Omit<ColumnRules, 'place'>>;

export function renderPlan(name: FormatName, encoding: MessageEncoding = 'json', rules?: Rules): RenderPlan {
  const format: MessageFormat = formats[name];
  const options = format.options?.parse({});
  const values = renderOptions(format, format.values, options);
  const declared = rules && { place: 'bench', ...NO_RULES, ...rules };
  const masks = compileMasks(declared, 'a key for the bench');
  const members = rowMembers(relation, declared && { rules: declared }, {
    compileColumn: (column, { types }, forms) => compileColumn(column, types, { ...values, ...forms }),
    masks,
  });
  return format.compile({
    relation,
    ...members,
    masks,
    envelope,
    values: format.values,
    options,
    encoding,
    wallMs,
    actionsAt: () => ROW_ACTIONS,
  });
}

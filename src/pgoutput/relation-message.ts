// Writes a Relation message as Postgres would: for rows that we read ourselves, beside the stream.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
import { ByteWriter } from '../core/byte-writer.ts';
import type { ReplicaIdentity } from '../core/change.ts';
import { PGOUTPUT } from './bytes.ts';
import type { RawRelation } from './messages.ts';

const IDENTITY_LETTERS: Readonly<Record<ReplicaIdentity, string>> = {
  default: 'd',
  nothing: 'n',
  full: 'f',
  index: 'i',
};

/** What `decodeRelation` reads. */
export function encodeRelation({ id, schema, table, replicaIdentity, columns }: RawRelation): Buffer {
  const writer = new ByteWriter(1024);
  writer.byte(PGOUTPUT.relation);
  uint32(writer, id);
  text(writer, schema === 'pg_catalog' ? '' : schema);
  text(writer, table);
  writer.latin1(IDENTITY_LETTERS[replicaIdentity]);
  uint16(writer, columns.length);
  for (const column of columns) {
    writer.byte(column.identity ? 1 : 0);
    text(writer, column.name);
    uint32(writer, column.type);
    uint32(writer, column.typeModifier);
  }
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

function text(writer: ByteWriter, value: string): void {
  writer.text(value);
  writer.byte(0);
}

/** Also of a negative number, in two's complement. */
function uint32(writer: ByteWriter, value: number): void {
  writer.reserve(4);
  writer.length = writer.buffer.writeInt32BE(value | 0, writer.length);
}

function uint16(writer: ByteWriter, value: number): void {
  writer.reserve(2);
  writer.length = writer.buffer.writeUInt16BE(value, writer.length);
}

// A row that the table does not have, as the log holds it: like a Delete message, with its key alone.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
import { COLUMN, TUPLE } from '../../pgoutput/bytes.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import type { BackfillTable } from './table.ts';

const FIXED_BYTES = 8;
const LENGTH_BYTES = 5;

/** `key`: as Postgres writes it, in the order of the table's key, all of whose columns are published. */
export function goneRow(
  { relation, key: columns }: Pick<BackfillTable, 'relation' | 'key'>,
  key: readonly string[],
): Buffer {
  const texts = relation.columns.map(({ name }) => key[columns.findIndex((column) => column.name === name)]);
  const bytes = texts.map((text) => (text === undefined ? undefined : Buffer.from(text)));
  const size = bytes.reduce((sum, one) => sum + LENGTH_BYTES + (one?.length ?? 0), FIXED_BYTES);
  const message = Buffer.alloc(size);
  message[0] = FRAME.read;
  message.writeUInt32BE(relation.id, 1);
  message[5] = TUPLE.key;
  let at = message.writeUInt16BE(relation.columns.length, 6);
  for (const one of bytes) {
    message[at++] = one === undefined ? COLUMN.null : COLUMN.text;
    if (one === undefined) continue;
    at = message.writeUInt32BE(one.length, at);
    at += one.copy(message, at);
  }
  return message.subarray(0, at);
}

// Values as wal2json's format version 2 writes them: numbers and booleans bare, everything else as Postgres' text.
// https://github.com/eulerto/wal2json (wal2json.c, pg_decode_write_value)
import { writeJsonString } from '../../core/json.ts';
import type { ValueRenderer, Wal2jsonValues } from '../../core/render.ts';
import { TYPE } from './builtin.ts';
import { NULL, writeBoolean, writeInternalChar, writeVerbatim } from './scalar.ts';

/** Of a column's own type: a domain, an array or a composite is text, whatever is in it. */
export function wal2jsonValue(type: number, { numbersAsString }: Wal2jsonValues): ValueRenderer {
  switch (type) {
    case TYPE.int2:
    case TYPE.int4:
    case TYPE.int8:
    case TYPE.oid:
      return numbersAsString ? writeJsonString : writeVerbatim;
    case TYPE.float4:
    case TYPE.float8:
    case TYPE.numeric:
      return numbersAsString ? writeJsonString : writeNumberOrNull;
    case TYPE.bool:
      return writeBoolean;
    case TYPE.bytea:
      return writeHexDigits;
    case TYPE.char:
      return writeInternalChar;
    default:
      return writeJsonString;
  }
}

const ZERO = 0x30;
const NINE = 0x39;

/** NaN and ±Infinity end in a letter. */
const writeNumberOrNull: ValueRenderer = (bytes, start, length, writer) => {
  const last = bytes[start + length - 1]!;
  if (last >= ZERO && last <= NINE) writer.bytes(bytes, start, start + length);
  else writer.bytes(NULL);
};

/** Without `\x`. */
const writeHexDigits: ValueRenderer = (bytes, start, length, writer) =>
  writeJsonString(bytes, start + 2, length - 2, writer);

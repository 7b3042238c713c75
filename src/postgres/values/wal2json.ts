// Values as wal2json's format version 2 writes them: numbers and booleans bare, everything else as Postgres' text.
// https://github.com/eulerto/wal2json (wal2json.c, pg_decode_write_value)
import { writeJsonString } from '../../core/json.ts';
import { BOOLEAN, NUMBER, nullable } from '../../core/json-type.ts';
import type { ValueForm, ValueRenderer, Wal2jsonValues } from '../../core/render.ts';
import { TYPE } from './builtin.ts';
import { integerForm, text, TEXT } from './forms.ts';
import { NULL, writeBoolean, writeInternalChar } from './scalar.ts';

/** Of a column's own type: a domain, an array or a composite is text, whatever is in it. */
export function wal2jsonValue(type: number, { numbersAsString }: Wal2jsonValues): ValueForm {
  switch (type) {
    case TYPE.int2:
    case TYPE.int4:
    case TYPE.int8:
    case TYPE.oid:
      return numbersAsString ? TEXT : integerForm(type);
    case TYPE.float4:
    case TYPE.float8:
    case TYPE.numeric:
      return numbersAsString ? TEXT : { render: writeNumberOrNull, type: nullable(NUMBER) };
    case TYPE.bool:
      return { render: writeBoolean, type: BOOLEAN };
    case TYPE.bytea:
      return text(writeHexDigits);
    case TYPE.char:
      return text(writeInternalChar);
    default:
      return TEXT;
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

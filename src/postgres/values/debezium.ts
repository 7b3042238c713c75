// Values as Debezium's Postgres connector and Kafka Connect's JSON converter write them: numbers for times, bytes for decimals.
// https://debezium.io/documentation/reference/3.6/connectors/postgresql.html#postgresql-data-types
import { durationParts } from '../../core/interval.ts';
import { createHash } from 'node:crypto';
import { ByteWriter } from '../../core/byte-writer.ts';
import { literal } from '../../core/encoding.ts';
import { jsonText, writeJsonString } from '../../core/json.ts';
import {
  BOOLEAN,
  floatOrWord,
  integer,
  member,
  NUMBER,
  nullable,
  object,
  STRING,
} from '../../core/json-type.ts';
import type { DebeziumValues, ValueForm, ValueRenderer } from '../../core/render.ts';
import { TYPE } from './builtin.ts';
import { bitsForm, byteaRenderer, GEOMETRY, POINT, SPARSE_VECTOR } from './bytes.ts';
import { debeziumTimes } from './debezium-times.ts';
import { scaleOf, strippedScaleOf, twosComplement, writeUnscaled } from './decimals.ts';
import { integerForm, text, TEXT } from './forms.ts';
import { HSTORE, VECTOR, writeHstore } from './nested.ts';
import { NULL, writeBoolean, writeInternalChar, writeNumber, writeNumericAsFloat } from './scalar.ts';

/** Of a built-in type that is no array. `modifier`: of the column's type, -1 where it has none. */
export function debeziumScalar(type: number, modifier: number, forms: DebeziumValues): ValueForm {
  switch (type) {
    case TYPE.int2:
    case TYPE.int4:
    case TYPE.int8:
    case TYPE.oid:
      return integerForm(type);
    case TYPE.float4:
    case TYPE.float8:
      return { render: writeNumber, type: floatOrWord() };
    case TYPE.bool:
      return { render: writeBoolean, type: BOOLEAN };
    case TYPE.numeric:
      return numericForm(modifier, forms);
    case TYPE.money:
      return { render: moneyRenderer(forms), type: forms.decimal === 'double' ? NUMBER : STRING };
    case TYPE.date:
    case TYPE.time:
    case TYPE.timetz:
    case TYPE.timestamp:
    case TYPE.timestamptz:
      return debeziumTimes(type, modifier, forms.time);
    case TYPE.interval:
      return forms.interval === 'numeric'
        ? { render: writeIntervalAsMicroseconds, type: integer(64) }
        : text(writeIntervalAsText);
    case TYPE.bytea:
      return text(byteaRenderer(forms.binary));
    case TYPE.bit:
    case TYPE.varbit:
      return bitsForm(modifier === 1);
    case TYPE.point:
      return POINT;
    case TYPE.char:
      return text(writeInternalChar);
    default:
      // What Debezium has no mapping for it leaves out: nothing is left out here.
      return TEXT;
  }
}

/** Of an extension's type. */
export function debeziumExtension(name: string, { hstore }: DebeziumValues): ValueForm {
  switch (name) {
    case 'hstore':
      return hstore === 'map' ? HSTORE : text(writeHstoreAsText);
    case 'vector':
    case 'halfvec':
      return VECTOR;
    case 'sparsevec':
      return SPARSE_VECTOR;
    case 'geometry':
    case 'geography':
      return GEOMETRY;
    default:
      return TEXT;
  }
}

/** The scale is 11 bits with a sign. https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/numeric.c (numeric_typmod_scale) */
const HEADER_BYTES = 4;
const SCALE_BITS = 0x7ff;
const SCALE_SIGN = 1024;
const scaleIn = (modifier: number): number =>
  (((modifier - HEADER_BYTES) & SCALE_BITS) ^ SCALE_SIGN) - SCALE_SIGN;

function numericForm(modifier: number, { decimal }: DebeziumValues): ValueForm {
  switch (decimal) {
    case 'precise':
      return modifier === -1
        ? { render: writeVariableDecimal, type: VARIABLE_DECIMAL }
        : { render: decimalRenderer(scaleIn(modifier)), type: nullable(STRING) };
    case 'double':
      return {
        type: nullable(floatOrWord()),
        render: (bytes, start, length, writer) => {
          if (scaleOf(bytes, start, length) === -1) writeJsonString(bytes, start, length, writer);
          else writeNumericAsFloat(bytes, start, length, writer);
        },
      };
    case 'string':
      return text((bytes, start, length, writer) => {
        const special = SPECIAL[bytes.toString('latin1', start, start + Math.min(length, MAX_WORD))];
        if (special === undefined) writeJsonString(bytes, start, length, writer);
        else writer.latin1(special);
      });
    default:
      return decimal satisfies never;
  }
}

const SPECIAL: Readonly<Record<string, string>> = {
  NaN: '"NAN"',
  Infinity: '"POSITIVE_INFINITY"',
  '-Infinity': '"NEGATIVE_INFINITY"',
};
const MAX_WORD = '-Infinity'.length + 1;

/** Of a column with a scale: NaN, which bytes cannot say, is null. */
const decimalRenderer =
  (scale: number): ValueRenderer =>
  (bytes, start, length, writer) => {
    const textScale = scaleOf(bytes, start, length);
    if (textScale === -1) return writer.bytes(NULL);
    writeUnscaled(bytes, start, length, { scale, textScale }, writer);
  };

const SCALE = literal('{"scale":', 'json');
const VALUE = literal(',"value":', 'json');
const CLOSE_BRACE = 0x7d;

const VARIABLE_DECIMAL = nullable(object([member('scale', integer(32)), member('value', STRING)]));

const writeVariableDecimal: ValueRenderer = (bytes, start, length, writer) => {
  const textScale = scaleOf(bytes, start, length);
  if (textScale === -1) return writer.bytes(NULL);
  const scale = strippedScaleOf(bytes, start, length, textScale);
  writer.literal(SCALE);
  writer.integer(scale);
  writer.literal(VALUE);
  writeUnscaled(bytes, start, length, { scale, textScale }, writer);
  writer.byte(CLOSE_BRACE);
};

/** `-$1,234.56`, `(1.234,56 €)`: of the text only its sign and digits are the same in every locale. */
const moneyRenderer =
  ({ decimal, moneyFractionDigits }: DebeziumValues): ValueRenderer =>
  (bytes, start, length, writer) => {
    const text = bytes.toString('utf8', start, start + length);
    const digits = text.replace(/\D/g, '').padStart(moneyFractionDigits + 1, '0');
    const isNegative = /[-(]/.test(text);
    if (decimal === 'precise') {
      const value = BigInt(digits);
      const unscaled = twosComplement(isNegative ? -value : value).toString('base64');
      return writer.latin1(`"${unscaled}"`);
    }
    const point = digits.length - moneyFractionDigits;
    const fraction = moneyFractionDigits === 0 ? '' : `.${digits.slice(point)}`;
    const plain = `${isNegative ? '-' : ''}${digits.slice(0, point).replace(/^0+(?=\d)/, '')}${fraction}`;
    writer.latin1(decimal === 'string' ? `"${plain}"` : String(Number(plain)));
  };

/** A year has 365.25 days, as in Java's durations. https://debezium.io/documentation/reference/3.6/connectors/postgresql.html#postgresql-basic-types */
const MICROSECONDS_A_DAY = 86_400_000_000n;
const MICROSECONDS_A_MONTH = (MICROSECONDS_A_DAY * 36525n) / 1200n;
const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);

const writeIntervalAsMicroseconds: ValueRenderer = (bytes, start, length, writer) => {
  const interval = durationParts(bytes.toString('latin1', start, start + length));
  if (interval === undefined) return writer.latin1(String(infinityOf(bytes, start)));
  const { years, months, days, us } = interval;
  const all = BigInt(years * 12 + months) * MICROSECONDS_A_MONTH + BigInt(days) * MICROSECONDS_A_DAY + us;
  writer.latin1(String(all > MAX_INT64 ? MAX_INT64 : all < MIN_INT64 ? MIN_INT64 : all));
};

const infinityOf = (bytes: Buffer, start: number): bigint => (bytes[start] === 0x2d ? MIN_INT64 : MAX_INT64);

const writeIntervalAsText: ValueRenderer = (bytes, start, length, writer) => {
  const interval = durationParts(bytes.toString('latin1', start, start + length));
  if (interval === undefined) return writeJsonString(bytes, start, length, writer);
  const { years, months, days, hours, minutes, seconds } = interval;
  writer.latin1(`"P${years}Y${months}M${days}DT${hours}H${minutes}M${seconds}S"`);
};

const document = new ByteWriter(1024);

const writeHstoreAsText: ValueRenderer = (bytes, start, length, writer) => {
  document.reset();
  writeHstore(bytes, start, length, document);
  // What is no hstore is a string of its text already.
  if (document.buffer[0] === 0x22) writer.bytes(document.buffer, 0, document.length);
  else writeJsonString(document.buffer, 0, document.length, writer);
};

const HEX_PREFIX = 'hex:';

/**
 * The JSON that stands for an unchanged value of this type. Where Debezium has null, which says that the value is gone, it is the
 * placeholder: nobody takes that for the value. `element`: of an array; 0: it is none. `name`: of an extension's type.
 */
export function unavailableJson(
  {
    type,
    element,
    name,
  }: { readonly type: number; readonly element: number; readonly name: string | undefined },
  { unavailable, binary, hstore }: DebeziumValues,
): string {
  const isHex = unavailable.startsWith(HEX_PREFIX);
  const bytes = isHex ? Buffer.from(unavailable.slice(HEX_PREFIX.length), 'hex') : Buffer.from(unavailable);
  const text = jsonText(bytes.toString());
  switch (element === 0 ? type : element) {
    case TYPE.bytea: {
      const json =
        binary === 'hex'
          ? text
          : jsonText(bytes.toString(binary === 'base64-url-safe' ? 'base64url' : 'base64'));
      return element === 0 ? json : `[${json}]`;
    }
    case TYPE.int4:
    case TYPE.int8:
    case TYPE.date:
      return element === 0 ? text : JSON.stringify([...new Int8Array(bytes)]);
    case TYPE.uuid:
      return element === 0 ? text : `["${nameUuid(bytes)}"]`;
    default:
  }
  if (name === 'hstore') {
    const map = `{${text}:${text}}`;
    const json = hstore === 'map' ? map : jsonText(map);
    return element === 0 ? json : `[${json}]`;
  }
  return element === 0 ? text : `[${text}]`;
}

/** Version 3, as Java's UUID.nameUUIDFromBytes. https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-3 */
function nameUuid(name: Buffer): string {
  const hash = createHash('md5').update(name).digest();
  hash[6] = (hash[6]! & 0x0f) | 0x30;
  hash[8] = (hash[8]! & 0x3f) | 0x80;
  return hash.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

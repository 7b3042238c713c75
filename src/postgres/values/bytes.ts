// Values whose JSON is bytes in base64 (or hex): bytea, bit strings, points and shapes; and sparse vectors beside these.
import type { ByteWriter } from '../../core/byte-writer.ts';
import { writeJsonString } from '../../core/json.ts';
import {
  BOOLEAN,
  floatOrWord,
  integer,
  member,
  NULL_TYPE,
  NUMBER,
  nullable,
  object,
  STRING,
} from '../../core/json-type.ts';
import type { DebeziumValues, ValueForm, ValueRenderer } from '../../core/render.ts';
import { writeByteaAsBase64 } from './scalar.ts';

const ONE = 0x31;

/** Postgres' hex text as the connector's `binary.handling.mode` has it. */
export function byteaRenderer(mode: DebeziumValues['binary']): ValueRenderer {
  switch (mode) {
    case 'bytes':
    case 'base64':
      return writeByteaAsBase64;
    case 'base64-url-safe':
      return (bytes, start, length, writer) =>
        writeText(
          Buffer.from(bytes.toString('latin1', start + 2, start + length), 'hex').toString('base64url'),
          writer,
          true,
        );
    case 'hex':
      return (bytes, start, length, writer) => writeJsonString(bytes, start + 2, length - 2, writer);
    default:
      return mode satisfies never;
  }
}

/** Java's safe alphabet keeps its padding. */
function writeText(base64: string, writer: ByteWriter, isPadded = false): void {
  writer.latin1(`"${isPadded ? base64.padEnd(Math.ceil(base64.length / 4) * 4, '=') : base64}"`);
}

/** `101` → true or false where there is one bit, else the bytes of the number, the least first and none for zeros at the end. */
const bitsRenderer =
  (isSingle: boolean): ValueRenderer =>
  (bytes, start, length, writer) => {
    if (isSingle) return writer.latin1(bytes[start] === ONE ? 'true' : 'false');
    const content = Buffer.alloc(Math.ceil(length / 8));
    let used = 0;
    for (let bit = 0; bit < length; bit++) {
      if (bytes[start + length - 1 - bit] !== ONE) continue;
      content[bit >> 3]! |= 1 << (bit & 7);
      used = (bit >> 3) + 1;
    }
    writeText(content.toString('base64', 0, used), writer);
  };

export const bitsForm = (isSingle: boolean): ValueForm => ({
  render: bitsRenderer(isSingle),
  type: isSingle ? BOOLEAN : STRING,
});

const POINT_BYTES = 21;
const LITTLE_ENDIAN = 1;
const WKB_POINT = 1;

/** `(1.5,-2)` → its coordinates, and the same as well-known binary. https://libgeos.org/specifications/wkb/ */
const writePoint: ValueRenderer = (bytes, start, length, writer) => {
  const [x, y] = bytes.toString('latin1', start + 1, start + length - 1).split(',');
  const wkb = Buffer.alloc(POINT_BYTES);
  wkb[0] = LITTLE_ENDIAN;
  wkb.writeUInt32LE(WKB_POINT, 1);
  wkb.writeDoubleLE(Number(x), 5);
  wkb.writeDoubleLE(Number(y), 13);
  writer.latin1(
    `{"x":${coordinate(x!)},"y":${coordinate(y!)},"wkb":"${wkb.toString('base64')}","srid":null}`,
  );
};

export const POINT: ValueForm = {
  render: writePoint,
  type: object([
    member('x', floatOrWord()),
    member('y', floatOrWord()),
    member('wkb', STRING),
    member('srid', NULL_TYPE),
  ]),
};

const coordinate = (text: string): string => (/\d$/.test(text) ? text : `"${text}"`);

const EWKB_SRID = 0x20_00_00_00;

/** PostGIS prints hex of extended well-known binary. https://postgis.net/docs/using_postgis_dbmanagement.html#EWKB_EWKT */
const writeGeometry: ValueRenderer = (bytes, start, length, writer) => {
  const wkb = Buffer.from(bytes.toString('latin1', start, start + length), 'hex');
  if (wkb.length * 2 !== length || wkb.length < 9) return writeJsonString(bytes, start, length, writer);
  const isLittle = wkb[0] !== 0;
  const hasSrid = ((isLittle ? wkb.readUInt32LE(1) : wkb.readUInt32BE(1)) & EWKB_SRID) !== 0;
  const srid = hasSrid ? (isLittle ? wkb.readInt32LE(5) : wkb.readInt32BE(5)) : null;
  writer.latin1(`{"wkb":"${wkb.toString('base64')}","srid":${srid}}`);
};

export const GEOMETRY: ValueForm = {
  render: writeGeometry,
  type: object([member('wkb', STRING), member('srid', nullable(integer(32)))]),
};

/** `{1:1.5,3:2}/5` → its dimensions, and its elements as pairs: a map whose keys are no strings. https://github.com/pgvector/pgvector#sparse-vectors */
const writeSparseVector: ValueRenderer = (bytes, start, length, writer) => {
  const match = SPARSE.exec(bytes.toString('latin1', start, start + length));
  if (match === null) return writeJsonString(bytes, start, length, writer);
  const [, elements = '', dimensions] = match;
  const pairs = elements === '' ? '' : `[${elements.replaceAll(',', '],[').replaceAll(':', ',')}]`;
  writer.latin1(`{"dimensions":${dimensions},"vector":[${pairs}]}`);
};
const ELEMENT = String.raw`\d+:-?\d+(?:\.\d+)?(?:e[-+]?\d+)?`;
const SPARSE = new RegExp(`^\\{((?:${ELEMENT}(?:,${ELEMENT})*)?)\\}/(\\d+)$`);

export const SPARSE_VECTOR: ValueForm = {
  render: writeSparseVector,
  type: object([
    member('dimensions', integer(32)),
    member('vector', { kind: 'array', items: { kind: 'tuple', items: [integer(32), NUMBER] } }),
  ]),
};

// Chooses the renderer of a column by its type: the table "Values" of docs, compiled once per relation and sink.
import type { Column, TypeCatalog } from '../../core/change.ts';
import { isJson } from '../../core/json-grammar.ts';
import { jsonText, writeJsonDocument, writeJsonString } from '../../core/json.ts';
import type { ColumnForm, RenderOptions, ValueOptions, ValueRenderer } from '../../core/render.ts';
import { builtInArray, TYPE } from './builtin.ts';
import { debeziumExtension, debeziumScalar, unavailableJson } from './debezium.ts';
import { writeIntervalAsObject } from './interval.ts';
import { writeMicroseconds } from './moments.ts';
import { arrayRenderer, compositeRenderer, writeHstore, writeVector } from './nested.ts';
import {
  timestampRenderer,
  timestamptzRenderer,
  writeBoolean,
  writeByteaAsBase64,
  writeByteaAsHex,
  writeInternalChar,
  writeNumber,
  writeNumericAsFloat,
  writeVerbatim,
} from './scalar.ts';
import { wal2jsonValue } from './wal2json.ts';

/** Types nest this deep at most; deeper ones (only a damaged catalog has a cycle) render as text. */
const MAX_TYPE_DEPTH = 64;

/** How a message has this column. */
export const compileColumn = (
  { type, typeModifier }: Pick<Column, 'type' | 'typeModifier'>,
  types: TypeCatalog,
  options: RenderOptions,
): ColumnForm => ({
  render: compileValue(type, types, options, typeModifier),
  unchanged: unchangedJson(type, types, options),
});

/** As Sequin has it. https://sequinstream.com/docs/reference/databases */
const UNCHANGED_TEXT = '"unchanged_toast"';

function unchangedJson(type: number, types: TypeCatalog, options: RenderOptions): string | undefined {
  if (options.debezium === undefined) return options.unchanged === 'text' ? UNCHANGED_TEXT : undefined;
  const base = baseOf(type, types);
  const element = baseOf(elementOf(base, types), types);
  return unavailableJson({ type: base, element, name: types.get(element || base)?.name }, options.debezium);
}

/** What a domain is of; any other type is itself. */
export function baseOf(type: number, types: TypeCatalog): number {
  let base = type;
  for (let depth = 0; depth < MAX_TYPE_DEPTH; depth++) {
    const info = types.get(base);
    if (info?.kind !== 'domain') break;
    base = info.base;
  }
  return base;
}

/** 0: it is no array. */
function elementOf(type: number, types: TypeCatalog): number {
  const info = types.get(type);
  return info?.kind === 'array' ? info.element : (builtInArray(type)?.element ?? 0);
}

/**
 * The renderer of values of `type`. Whatever is not known renders as Postgres' text (invariant 6). `modifier`: of the column's type,
 * -1 where it has none; an array's is that of its elements.
 */
export function compileValue(
  type: number,
  types: TypeCatalog,
  options: RenderOptions,
  modifier = -1,
): ValueRenderer {
  const { debezium, wal2json } = options;
  if (wal2json !== undefined) return wal2jsonValue(type, wal2json);
  return compile(type, modifier, 0);

  function compile(type: number, modifier: number, depth: number): ValueRenderer {
    if (depth > MAX_TYPE_DEPTH) return writeJsonString;
    const info = types.get(type);
    switch (info?.kind) {
      case undefined:
        return compileBuiltIn(type, modifier, depth);
      case 'domain':
        return compile(info.base, info.modifier ?? -1, depth + 1);
      case 'array':
        return arrayRenderer(compile(info.element, modifier, depth + 1), info.delimiter);
      case 'composite':
        if (options.composite === 'text') return writeJsonString;
        return compositeRenderer(
          info.attributes.map((attribute) => ({
            prefix: Buffer.from(`${jsonText(attribute.name)}:`),
            render: compile(attribute.type, -1, depth + 1),
          })),
        );
      case 'base':
        return debezium === undefined
          ? extensionType(info.name, options)
          : debeziumExtension(info.name, debezium);
      case 'enum':
      case 'range':
      case 'multirange':
        return writeJsonString;
      default:
        return info satisfies never;
    }
  }

  function compileBuiltIn(type: number, modifier: number, depth: number): ValueRenderer {
    const array = builtInArray(type);
    if (array !== undefined)
      return arrayRenderer(compile(array.element, modifier, depth + 1), array.delimiter);
    const scalar =
      debezium === undefined ? builtInScalar(type, options) : debeziumScalar(type, modifier, debezium);
    return depth === 0 ? scalar : checked(scalar);
  }
}

/**
 * Within other values, and behind types that are remembered, a text may not be of the type that it should be: it stands unquoted
 * only if it is one JSON value, or a row's text could choose members of the message. A column of a built-in type needs no
 * such look: the Relation message in front of its rows says what its texts are.
 */
function checked(render: ValueRenderer): ValueRenderer {
  if (render === writeJsonString) return render;
  return (bytes, start, length, writer) => {
    const mark = writer.length;
    render(bytes, start, length, writer);
    if (isJson(writer.buffer, mark, writer.length)) return;
    writer.length = mark;
    writeJsonString(bytes, start, length, writer);
  };
}

/** Extensions' types have another OID in every database: they are known by name. */
function extensionType(name: string, options: RenderOptions): ValueRenderer {
  switch (name) {
    case 'hstore':
      return options.hstore === 'object' ? writeHstore : writeJsonString;
    case 'vector':
      return options.vector === 'array' ? writeVector : writeJsonString;
    case 'halfvec':
      return options.halfvec === 'array' ? writeVector : writeJsonString;
    default:
      return writeJsonString;
  }
}

function builtInScalar(type: number, options: RenderOptions): ValueRenderer {
  switch (type) {
    case TYPE.int2:
    case TYPE.int4:
    case TYPE.int8:
    case TYPE.oid:
      return writeVerbatim;
    case TYPE.float4:
    case TYPE.float8:
      return writeNumber;
    case TYPE.numeric:
      return numericRenderer(options.numeric);
    case TYPE.bool:
      return writeBoolean;
    case TYPE.json:
    case TYPE.jsonb:
      return options.json === 'embed' ? writeJsonDocument : writeJsonString;
    case TYPE.timestamp:
      if (options.timestamps === 'unix_microsecond') return writeMicroseconds;
      return timestampRenderer({ digits: options.timestampDigits, z: options.zonelessTimestampZ });
    case TYPE.timestamptz:
      if (options.timestamps === 'unix_microsecond') return writeMicroseconds;
      return timestamptzRenderer({ digits: options.timestampDigits });
    case TYPE.interval:
      return options.interval === 'object' ? writeIntervalAsObject : writeJsonString;
    case TYPE.bytea:
      return options.bytea === 'base64' ? writeByteaAsBase64 : writeByteaAsHex;
    case TYPE.char:
      return writeInternalChar;
    default:
      return writeJsonString;
  }
}

function numericRenderer(mode: ValueOptions['numeric']): ValueRenderer {
  switch (mode) {
    case 'string':
      return writeJsonString;
    case 'number':
      return writeNumber;
    case 'float':
      return writeNumericAsFloat;
    default:
      return mode satisfies never;
  }
}

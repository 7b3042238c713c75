// Chooses the renderer of a column by its type: the table "Values" of docs, compiled once per relation and sink.
import type { Column, TypeCatalog } from '../../core/change.ts';
import { isJson } from '../../core/json-grammar.ts';
import {
  ANY,
  BOOLEAN,
  constant,
  floatOrWord,
  integer,
  member,
  NUMBER,
  nullable,
  object,
  unionOf,
  type JsonType,
} from '../../core/json-type.ts';
import { jsonText, writeJsonDocument, writeJsonString } from '../../core/json.ts';
import type { ColumnForm, RenderOptions, ValueForm, ValueOptions, ValueRenderer } from '../../core/render.ts';
import { builtInArray, TYPE } from './builtin.ts';
import { debeziumExtension, debeziumScalar, unavailableJson } from './debezium.ts';
import { integerForm, text, TEXT } from './forms.ts';
import { writeIntervalAsObject } from './interval.ts';
import { writeMicroseconds } from './moments.ts';
import { arrayRenderer, compositeRenderer, HSTORE, VECTOR } from './nested.ts';
import {
  timestampRenderer,
  timestamptzRenderer,
  writeBoolean,
  writeByteaAsBase64,
  writeByteaAsHex,
  writeInternalChar,
  writeNumber,
  writeNumericAsFloat,
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
  ...compileForm(type, types, options, typeModifier),
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

/** As `compileForm`, for who only writes. */
export const compileValue = (
  type: number,
  types: TypeCatalog,
  options: RenderOptions,
  modifier = -1,
): ValueRenderer => compileForm(type, types, options, modifier).render;

/**
 * How values of `type` are written. Whatever is not known renders as Postgres' text (invariant 6). `modifier`: of the column's type,
 * -1 where it has none; an array's is that of its elements.
 */
function compileForm(type: number, types: TypeCatalog, options: RenderOptions, modifier: number): ValueForm {
  const { debezium, wal2json } = options;
  if (wal2json !== undefined) return wal2jsonValue(type, wal2json);
  return compile(type, modifier, 0);

  function compile(type: number, modifier: number, depth: number): ValueForm {
    if (depth > MAX_TYPE_DEPTH) return TEXT;
    const info = types.get(type);
    switch (info?.kind) {
      case undefined:
        return compileBuiltIn(type, modifier, depth);
      case 'domain':
        return compile(info.base, info.modifier ?? -1, depth + 1);
      case 'array':
        return arrayOf(compile(info.element, modifier, depth + 1), info.delimiter);
      case 'composite':
        if (options.composite === 'text') return TEXT;
        return compositeOf(
          info.attributes.map(({ name, type }) => ({ name, form: compile(type, -1, depth + 1) })),
        );
      case 'base':
        return debezium === undefined
          ? extensionType(info.name, options)
          : debeziumExtension(info.name, debezium);
      case 'enum':
        return info.labels === undefined || info.labels.length === 0
          ? TEXT
          : { render: writeJsonString, type: unionOf(...info.labels.map(constant)) };
      case 'range':
      case 'multirange':
        return TEXT;
      default:
        return info satisfies never;
    }
  }

  function compileBuiltIn(type: number, modifier: number, depth: number): ValueForm {
    const array = builtInArray(type);
    if (array !== undefined) return arrayOf(compile(array.element, modifier, depth + 1), array.delimiter);
    const scalar =
      debezium === undefined ? builtInScalar(type, options) : debeziumScalar(type, modifier, debezium);
    return depth === 0 ? scalar : { ...scalar, render: checked(scalar.render) };
  }
}

const arrayOf = (element: ValueForm, delimiter: string): ValueForm => ({
  render: arrayRenderer(element.render, delimiter),
  type: { kind: 'dimensions', items: element.type },
});

/** An attribute cannot be NOT NULL. */
const compositeOf = (
  attributes: readonly { readonly name: string; readonly form: ValueForm }[],
): ValueForm => ({
  render: compositeRenderer(
    attributes.map(({ name, form }) => ({
      prefix: Buffer.from(`${jsonText(name)}:`),
      render: form.render,
    })),
  ),
  type: object(attributes.map(({ name, form }) => member(name, nullable(form.type)))),
});

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
function extensionType(name: string, options: RenderOptions): ValueForm {
  switch (name) {
    case 'hstore':
      return options.hstore === 'object' ? HSTORE : TEXT;
    case 'vector':
      return options.vector === 'array' ? VECTOR : TEXT;
    case 'halfvec':
      return options.halfvec === 'array' ? VECTOR : TEXT;
    default:
      return TEXT;
  }
}

function builtInScalar(type: number, options: RenderOptions): ValueForm {
  switch (type) {
    case TYPE.int2:
    case TYPE.int4:
    case TYPE.int8:
    case TYPE.oid:
      return integerForm(type);
    case TYPE.float4:
    case TYPE.float8:
      return { render: writeNumber, type: floatOrWord() };
    case TYPE.numeric:
      return numericForm(options.numeric);
    case TYPE.bool:
      return { render: writeBoolean, type: BOOLEAN };
    case TYPE.json:
    case TYPE.jsonb:
      return options.json === 'embed' ? { render: writeJsonDocument, type: ANY } : TEXT;
    case TYPE.timestamp:
      if (options.timestamps === 'unix_microsecond') return MICROSECONDS;
      return text(timestampRenderer({ digits: options.timestampDigits, z: options.zonelessTimestampZ }));
    case TYPE.timestamptz:
      if (options.timestamps === 'unix_microsecond') return MICROSECONDS;
      return text(timestamptzRenderer({ digits: options.timestampDigits }));
    case TYPE.interval:
      return options.interval === 'object' ? { render: writeIntervalAsObject, type: INTERVAL } : TEXT;
    case TYPE.bytea:
      return text(options.bytea === 'base64' ? writeByteaAsBase64 : writeByteaAsHex);
    case TYPE.char:
      return text(writeInternalChar);
    default:
      return TEXT;
  }
}

const INFINITIES: JsonType = unionOf(constant('infinity'), constant('-infinity'));
const MICROSECONDS: ValueForm = { render: writeMicroseconds, type: unionOf(integer(64), INFINITIES) };
/** Infinite ones are of Postgres 17 and newer. */
const INTERVAL: JsonType = unionOf(
  object([member('months', integer(32)), member('days', integer(32)), member('microseconds', integer(64))]),
  INFINITIES,
);

function numericForm(mode: ValueOptions['numeric']): ValueForm {
  switch (mode) {
    case 'string':
      return TEXT;
    case 'number':
      return { render: writeNumber, type: floatOrWord() };
    case 'float':
      return { render: writeNumericAsFloat, type: nullable(NUMBER) };
    default:
      return mode satisfies never;
  }
}

// What is remembered of a type may be stale when a row comes: whatever its text is then, it is one value of the message.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MessageEncoding } from '../../../src/core/encoding.ts';
import type { TypeCatalog, TypeInfo } from '../../../src/core/change.ts';
import { buildRelation } from '../../../src/pgoutput/enrichment.ts';
import { decodeRelation } from '../../../src/pgoutput/messages.ts';
import type { FormatName } from '../../../src/formats/names.ts';
import { formats } from '../../../src/formats/registry.ts';
import { TYPE } from '../../../src/postgres/values/builtin.ts';
import { renderRow, renderValue } from '../../support/decode.ts';
import { insertMessage, relationMessage, updateMessage } from '../../support/pgoutput-messages.ts';

const FIRST_OWN_OID = 20_000;
const RELATION_ID = 1;
const TEXT = 25;

/** A remembered type as a tree; made a catalog by `catalogOf`. */
type Shape =
  | { readonly kind: 'built in'; readonly oid: number }
  | { readonly kind: 'extension'; readonly name: string }
  | { readonly kind: 'array' | 'domain'; readonly of: Shape }
  | { readonly kind: 'composite'; readonly attributes: readonly Shape[] };

const { shape: shapes } = fc.letrec<{ shape: Shape }>((tie) => ({
  shape: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc
      .constantFrom(...Object.values(TYPE), TEXT, 1000, 1007, 1016, 1022, 1231, 199, 3807, 1185, 1115, 1001)
      .map((oid): Shape => ({ kind: 'built in', oid })),
    fc.constantFrom('hstore', 'vector').map((name): Shape => ({ kind: 'extension', name })),
    tie('shape').map((of): Shape => ({ kind: 'array', of })),
    tie('shape').map((of): Shape => ({ kind: 'domain', of })),
    fc
      .array(tie('shape'), { minLength: 1, maxLength: 4 })
      .map((attributes): Shape => ({ kind: 'composite', attributes })),
  ),
}));

const nameOf = (index: number): string => `attribute ${index}`;

/** The catalog that has the shape, and its OID there. */
function catalogOf(shape: Shape): { readonly oid: number; readonly types: TypeCatalog } {
  const types = new Map<number, TypeInfo>();
  const add = (shape: Shape): number => {
    if (shape.kind === 'built in') return shape.oid;
    const info = infoOf(shape);
    const oid = FIRST_OWN_OID + types.size;
    types.set(oid, info);
    return oid;
  };
  const infoOf = (shape: Exclude<Shape, { kind: 'built in' }>): TypeInfo => {
    switch (shape.kind) {
      case 'extension':
        return { kind: 'base', name: shape.name };
      case 'array':
        return { kind: 'array', name: 'list', element: add(shape.of), delimiter: ',' };
      case 'domain':
        return { kind: 'domain', name: 'domain', base: add(shape.of) };
      case 'composite':
        return {
          kind: 'composite',
          name: 'composite',
          attributes: shape.attributes.map((attribute, i) => ({ name: nameOf(i), type: add(attribute) })),
        };
      default:
        return shape satisfies never;
    }
  };
  return { oid: add(shape), types };
}

const INJECTIONS = [
  '","injected":true,"',
  '1,"injected":true',
  '1},"injected":{"a":1',
  '"x"},"action":"forged","y":{"z":"1"',
  '2026-01-02 03:04:05","injected":true,"x":"9',
  '2026-01-02 03:04:05","injected":true,"x":"+00',
  't","injected":true',
  ']],"injected":[[1',
  '-","injected":"9',
];
const VALUES = [
  '1',
  '-1.50',
  '1e5',
  '1.5e00',
  'NaN',
  't',
  'f',
  'true',
  'null',
  'NULL',
  '',
  ' ',
  '01',
  '{"a": 1}',
  '[1,2]',
];
const TEXTS = [
  '\\x00ff',
  '\\xf',
  '2026-01-02 03:04:05.1+00',
  '"k"=>"v"',
  '[1,2.5]',
  '{1,2}',
  '(1,2)',
  'infinity',
  'P1DT2H',
  '-P1Y2M3DT4H5M6.789S',
  '\n',
  '\\',
];

const leaf = fc.oneof(
  fc.constantFrom(...INJECTIONS),
  fc.constantFrom(...VALUES, ...TEXTS),
  fc.json({ maxDepth: 1 }),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => text.replaceAll('\0', '')),
);

const quoteAttribute = (text: string): string => `"${text.replaceAll(/["\\]/g, '$&$&')}"`;
const quoteElement = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;

/** Texts as record_out and array_out write them, of any shape, with and without the quotes that they may need. */
const { text: texts } = fc.letrec<{ text: string }>((tie) => ({
  text: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc
      .array(fc.tuple(tie('text'), fc.boolean()), { minLength: 1, maxLength: 4 })
      .map((parts) => `(${parts.map(([text, bare]) => (bare ? text : quoteAttribute(text))).join(',')})`),
    fc
      .array(fc.tuple(tie('text'), fc.boolean()), { maxLength: 4 })
      .map((parts) => `{${parts.map(([text, bare]) => (bare ? text : quoteElement(text))).join(',')}}`),
  ),
}));

/** A text that has the shape, but for what its scalars hold. */
function shapedText(shape: Shape): fc.Arbitrary<string> {
  switch (shape.kind) {
    case 'built in':
    case 'extension':
      return leaf;
    case 'domain':
      return shapedText(shape.of);
    case 'array':
      return fc
        .array(shapedText(shape.of), { minLength: 1, maxLength: 3 })
        .map((elements) => `{${elements.map(quoteElement).join(',')}}`);
    case 'composite':
      return fc
        .tuple(...shape.attributes.map(shapedText))
        .map((attributes) => `(${attributes.map(quoteAttribute).join(',')})`);
    default:
      return shape satisfies never;
  }
}

const stale = shapes.chain((shape) =>
  fc.record({ shape: fc.constant(shape), text: fc.oneof(texts, shapedText(shape)) }),
);

const OPTIONS = fc.record({
  numeric: fc.constantFrom('string', 'number', 'float'),
  json: fc.constantFrom('embed', 'string'),
  bytea: fc.constantFrom('hex', 'base64'),
  interval: fc.constantFrom('iso8601', 'object'),
  timestampDigits: fc.constantFrom<6 | 'as_needed'>(6, 'as_needed'),
  composite: fc.constantFrom('object', 'object', 'text'),
  hstore: fc.constantFrom('object', 'text'),
  vector: fc.constantFrom('array', 'text'),
  halfvec: fc.constantFrom('array', 'text'),
} as const);

/** Does the value have members and elements only where the shape has them? What is not of its shape is a string. */
function isOf(shape: Shape, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  switch (shape.kind) {
    case 'domain':
      return isOf(shape.of, value);
    case 'array':
      return (
        Array.isArray(value) && value.every((element) => isOf(shape, element) || isOf(shape.of, element))
      );
    case 'composite': {
      const members = Object.entries(value);
      return (
        members.map(([name]) => name).join() === shape.attributes.map((_, i) => nameOf(i)).join() &&
        members.every(([, member], i) => isOf(shape.attributes[i]!, member))
      );
    }
    // A document, an array of a built-in type, a vector: what is in it is its own.
    case 'built in':
    case 'extension':
      return true;
    default:
      return shape satisfies never;
  }
}

test('whatever a text is, it is one JSON value, with the members of its shape', () => {
  fc.assert(
    fc.property(stale, OPTIONS, fc.boolean(), ({ shape, text }, options, zonelessTimestampZ) => {
      const { oid, types } = catalogOf(shape);
      // A column of a built-in type is what the stream says.
      fc.pre(types.size > 0);
      const json = renderValue(oid, text, { types, ...options, zonelessTimestampZ });
      expect(JSON.parse(json)).toSatisfy((value) => isOf(shape, value));
    }),
    { numRuns: 3000 },
  );
});

const ENCODINGS: readonly MessageEncoding[] = ['json', 'json-string'];

test.each(Object.keys(formats) as FormatName[])(
  'whatever a text is, a message (%s) has the members that it has without it',
  (format) => {
    fc.assert(
      fc.property(
        fc.array(stale, { minLength: 1, maxLength: 3 }),
        OPTIONS,
        fc.constantFrom(...ENCODINGS),
        fc.constantFrom('insert', 'update'),
        (columns, values, encoding, action) => {
          const catalogs = columns.map(({ shape }) => catalogOf(shape));
          const message = (types: TypeCatalog, oids: readonly number[], texts: readonly string[]) => {
            const raw = relationMessage({
              id: RELATION_ID,
              schema: 'public',
              table: 't',
              identity: 'f',
              columns: [
                { name: 'id', type: TYPE.int4 },
                ...oids.map((type, i) => ({ name: `column ${i}`, type })),
              ],
            });
            const row = ['1', ...texts];
            const bytes =
              action === 'insert'
                ? insertMessage(RELATION_ID, row)
                : updateMessage(RELATION_ID, row, {
                    kind: 'full',
                    row: ['2', ...texts.map((text) => `${text} `)],
                  });
            const relation = buildRelation(decodeRelation(raw, 0), {
              relationId: RELATION_ID,
              key: undefined,
              types,
              // What a message says of types is not what this is about.
              typeNames: ['int4', ...oids.map(() => 'text')],
            });
            const text = renderRow(relation, bytes, { format, values, encoding, severalActions: true });
            return JSON.parse(encoding === 'json' ? text : (JSON.parse(`"${text}"`) as string)) as Members;
          };
          const { types, oids } = merged(catalogs);
          const texts = columns.map(({ text }) => text);
          const asText = message(
            new Map(),
            oids.map(() => TEXT),
            texts,
          );
          const found = message(types, oids, texts);
          expect(withoutValues(found)).toEqual(withoutValues(asText));
        },
      ),
      { numRuns: 1000 },
    );
  },
);

type Members = Readonly<Record<string, unknown>>;

/** The message with every value of a column in doubt replaced by its name. */
const withoutValues = (value: unknown, name = ''): unknown => {
  if (name.startsWith('column ')) return name;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, withoutValues(member, key)]));
};

/** One catalog of several, each with OIDs of its own. */
function merged(catalogs: readonly ReturnType<typeof catalogOf>[]) {
  const types = new Map<number, TypeInfo>();
  const oids = catalogs.map(({ oid, types: own }, i) => {
    const moved = (oid: number): number => (oid < FIRST_OWN_OID ? oid : oid + (i + 1) * 1000);
    for (const [oid, info] of own) types.set(moved(oid), movedInfo(info, moved));
    return own.size === 0 ? TEXT : moved(oid);
  });
  return { types, oids };
}

function movedInfo(info: TypeInfo, moved: (oid: number) => number): TypeInfo {
  switch (info.kind) {
    case 'array':
      return { ...info, element: moved(info.element) };
    case 'domain':
      return { ...info, base: moved(info.base) };
    case 'composite':
      return {
        ...info,
        attributes: info.attributes.map(({ name, type }) => ({ name, type: moved(type) })),
      };
    case 'base':
    case 'enum':
    case 'range':
    case 'multirange':
      return info;
    default:
      return info satisfies never;
  }
}

const OF = (type: number): TypeCatalog =>
  new Map([
    [FIRST_OWN_OID, { kind: 'composite', name: 'addr', attributes: [{ name: 'a', type }] }],
    [FIRST_OWN_OID + 1, { kind: 'domain', name: 'base', base: type }],
  ]);

test.each([
  [TYPE.int4, '12'],
  [TYPE.float8, '-1.5e+22'],
  [TYPE.bool, 't'],
  [TYPE.jsonb, '{"b": [1.0]}'],
  [TYPE.timestamptz, '2026-01-02 03:04:05+00'],
] as const)(
  'a value of the type that it should be is what it is in a column of its own: %i',
  (type, text) => {
    const types = OF(type);
    const plain = renderValue(type, text);
    expect(renderValue(FIRST_OWN_OID, `(${quoteAttribute(text)})`, { types })).toBe(`{"a":${plain}}`);
    expect(renderValue(FIRST_OWN_OID + 1, text, { types })).toBe(plain);
  },
);

test.each([
  [TYPE.int4, '","injected":true,"'],
  [TYPE.int4, 'NaN'],
  [TYPE.float8, '1,"injected":9'],
  [TYPE.bool, 'hello'],
  [TYPE.bool, 'true'],
  [TYPE.json, '{"a":1},"injected":{}'],
  [TYPE.timestamp, '2026-01-02 03:04:05","injected":"9'],
  [TYPE.timestamptz, '2026-01-02 03:04:05","injected":"+00'],
])('a text that is not of the type that it should be stays text: %i, %s', (type, text) => {
  const types = OF(type);
  expect(renderValue(FIRST_OWN_OID, `(${quoteAttribute(text)})`, { types })).toBe(
    JSON.stringify({ a: text }),
  );
  expect(renderValue(FIRST_OWN_OID + 1, text, { types })).toBe(JSON.stringify(text));
});

test.each([
  [{ numeric: 'float' }, TYPE.numeric, 'a12'],
  [{ numeric: 'float' }, TYPE.numeric, '1.5e00'],
  [{ bytea: 'base64' }, TYPE.bytea, 'no hex'],
  [{ bytea: 'base64' }, TYPE.bytea, '\\x0'],
] as const)('and so where the sink wants another form: %j, %i, %s', (options, type, text) => {
  expect(renderValue(FIRST_OWN_OID + 1, text, { types: OF(type), ...options })).toBe(JSON.stringify(text));
});

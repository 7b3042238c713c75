// JSON Schema 2020-12 from the descriptions of messages, and back: what was written before is what a check compares with.
// https://json-schema.org/draft/2020-12/json-schema-core
import type { MessageAction } from '../../core/change.ts';
import {
  ANY,
  constant,
  integer,
  named,
  NULL_TYPE,
  object,
  unionOf,
  type IntegerBits,
  type JsonMember,
  type JsonObject,
  type JsonType,
} from '../../core/json-type.ts';
import type { DescribedMessage } from '../../pipeline/sink/described/tables.ts';
import type { NamedTable } from './naming.ts';

type Schema = { readonly [key: string]: unknown };

export const DIALECT = 'https://json-schema.org/draft/2020-12/schema';
const DEFINITIONS = '#/$defs/';
/** No name of a type begins like this: recursive arrays are numbered. */
const ARRAY = 'array';

const BOUNDS: Readonly<
  Record<IntegerBits, { readonly minimum: number; readonly maximum: number } | undefined>
> = {
  16: { minimum: -32_768, maximum: 32_767 },
  32: { minimum: -2_147_483_648, maximum: 2_147_483_647 },
  53: { minimum: -Number.MAX_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER },
  // Doubles have no such numbers: a bound would say another one.
  64: undefined,
};

/** A document that takes the messages of a table, and nothing else. `comment`: where it comes from. */
export function schemaText(
  { declarations }: NamedTable,
  about: { readonly title: string; readonly comment: string },
): string {
  const definitions: [string, Schema][] = [];
  const arrays = new Map<string, string>();
  for (const { name, type } of declarations) definitions.push([name, schemaOf(type)]);
  const document = {
    $schema: DIALECT,
    $comment: about.comment,
    title: about.title,
    anyOf: declarations
      .filter(({ action }) => action !== undefined)
      .map(({ name, action }) => ({ title: action, $ref: reference(name) })),
    $defs: Object.fromEntries(definitions),
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;

  function schemaOf(type: JsonType): Schema {
    switch (type.kind) {
      case 'any':
        return {};
      case 'null':
      case 'boolean':
      case 'number':
      case 'string':
        return { type: type.kind };
      case 'integer':
        return { type: 'integer', ...BOUNDS[type.bits] };
      case 'constant':
        return { const: type.value };
      case 'array':
        return { type: 'array', items: schemaOf(type.items) };
      case 'tuple': {
        const { length } = type.items;
        const bounds = { minItems: length, maxItems: length };
        return { type: 'array', ...(length > 0 && { prefixItems: type.items.map(schemaOf) }), ...bounds };
      }
      case 'dimensions':
        return arrayOf(type.items);
      case 'object':
        return objectOf(type);
      case 'union':
        return unionSchema(type.of);
      case 'named':
        return { $ref: reference(type.name) };
      default:
        return type satisfies never;
    }
  }

  /** It has itself in it, and so a name. */
  function arrayOf(items: JsonType): Schema {
    const key = JSON.stringify(items);
    const name = arrays.get(key) ?? `${ARRAY}${arrays.size + 1}`;
    if (!arrays.has(key)) {
      arrays.set(key, name);
      const itself = { $ref: reference(name) };
      definitions.push([
        name,
        { type: 'array', items: { anyOf: [schemaOf(items), { type: 'null' }, itself] } },
      ]);
    }
    return { $ref: reference(name) };
  }

  function objectOf({ members, others = [] }: JsonObject): Schema {
    const all = others.find(({ prefix }) => prefix === '');
    const patterns = others.filter(({ prefix }) => prefix !== '');
    const required = members.filter(({ optional }) => optional !== true).map(({ name }) => name);
    return {
      type: 'object',
      properties: Object.fromEntries(
        members.map(({ name, type, about }) => [
          name,
          { ...(about !== undefined && { description: about }), ...schemaOf(type) },
        ]),
      ),
      ...(required.length > 0 && { required }),
      ...(patterns.length > 0 && {
        patternProperties: Object.fromEntries(
          patterns.map(({ prefix, type }) => [`^${escapePattern(prefix)}`, schemaOf(type)]),
        ),
      }),
      additionalProperties: all === undefined ? false : schemaOf(all.type),
    };
  }

  function unionSchema(of: readonly JsonType[]): Schema {
    const constants = of.flatMap((each) => (each.kind === 'constant' ? [each.value] : []));
    const others = of.filter(({ kind }) => kind !== 'constant').map(schemaOf);
    const words = constants.length === 1 ? { const: constants[0] } : { enum: constants };
    if (others.length === 0) return words;
    return { anyOf: constants.length === 0 ? others : [...others, words] };
  }
}

const reference = (name: string): string => DEFINITIONS + encodeURIComponent(name);
const escapePattern = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
const unescapePattern = (text: string): string => text.replaceAll(/\\(.)/gs, '$1');

/** The messages that a document of `schemaText` describes. Throws where it is none. */
export function readSchemaText(text: string): readonly DescribedMessage[] {
  const document = JSON.parse(text) as {
    readonly anyOf: readonly { readonly title: MessageAction; readonly $ref: string }[];
    readonly $defs: Readonly<Record<string, Schema>>;
  };
  return document.anyOf.map(({ title, $ref }) => ({ action: title, type: typeOf(definition($ref)) }));

  function definition(ref: string): Schema {
    const name = decodeURIComponent(ref.slice(DEFINITIONS.length));
    const found = Object.hasOwn(document.$defs, name) ? document.$defs[name] : undefined;
    if (found === undefined) throw new Error(`there is no definition ${name}`);
    return found;
  }

  function typeOf(schema: Schema): JsonType {
    if (typeof schema['$ref'] === 'string') return typeOfReference(schema['$ref']);
    if ('const' in schema) return constant(schema['const'] as string);
    if (Array.isArray(schema['enum'])) return unionOf(...(schema['enum'] as string[]).map(constant));
    if (Array.isArray(schema['anyOf'])) return unionOf(...(schema['anyOf'] as Schema[]).map(typeOf));
    switch (schema['type']) {
      case 'boolean':
      case 'number':
      case 'string':
        return { kind: schema['type'] };
      case 'null':
        return NULL_TYPE;
      case 'integer':
        return integer(bitsOf(schema));
      case 'array':
        if (schema['items'] !== undefined) return { kind: 'array', items: typeOf(schema['items'] as Schema) };
        return { kind: 'tuple', items: ((schema['prefixItems'] ?? []) as Schema[]).map(typeOf) };
      case 'object':
        return objectIn(schema);
      default:
        return ANY;
    }
  }

  function typeOfReference(ref: string): JsonType {
    const name = decodeURIComponent(ref.slice(DEFINITIONS.length));
    const found = definition(ref);
    if (!name.startsWith(ARRAY)) return named(name, typeOf(found));
    const [items] = (found['items'] as { anyOf: Schema[] }).anyOf;
    return { kind: 'dimensions', items: typeOf(items!) };
  }

  function objectIn(schema: Schema): JsonType {
    const required = new Set((schema['required'] ?? []) as string[]);
    const members = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>).map(
      ([name, each]): JsonMember => ({
        name,
        type: typeOf(each),
        ...(!required.has(name) && { optional: true }),
        ...(typeof each['description'] === 'string' && { about: each['description'] }),
      }),
    );
    const patterns = Object.entries((schema['patternProperties'] ?? {}) as Record<string, Schema>);
    const rest = schema['additionalProperties'];
    return object(members, [
      ...patterns.map(([pattern, each]) => ({
        prefix: unescapePattern(pattern.slice(1)),
        type: typeOf(each),
      })),
      ...(typeof rest === 'object' ? [{ prefix: '', type: typeOf(rest as Schema) }] : []),
    ]);
  }
}

const bitsOf = ({ maximum }: Schema): IntegerBits =>
  ([16, 32, 53] as const).find((bits) => BOUNDS[bits]?.maximum === maximum) ?? 64;

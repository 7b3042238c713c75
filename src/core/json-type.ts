// What JSON there may be at a place of a message: a small tree, made where the JSON itself is made, so that TypeScript and JSON Schema can
// be written from it. Pure.

export type JsonType =
  /** Any JSON at all. */
  | { readonly kind: 'any' }
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'number' }
  /** `bits`: of a whole number with a sign; 53 is what a double has for certain. 64: more digits than a double has. */
  | { readonly kind: 'integer'; readonly bits: IntegerBits }
  | { readonly kind: 'string' }
  | { readonly kind: 'constant'; readonly value: string | number | boolean }
  | { readonly kind: 'array'; readonly items: JsonType }
  /** Of a fixed length. */
  | { readonly kind: 'tuple'; readonly items: readonly JsonType[] }
  /** An array of Postgres: items, NULLs, and, as the number of its dimensions is a value's and not its type's, arrays of the same. */
  | { readonly kind: 'dimensions'; readonly items: JsonType }
  | JsonObject
  /** Neither of its members is a union, or `any`, or there twice: `unionOf` makes it so. */
  | { readonly kind: 'union'; readonly of: readonly JsonType[] }
  /** Worth a name of its own, such as `Record`. */
  | { readonly kind: 'named'; readonly name: string; readonly type: JsonType };

export type IntegerBits = 16 | 32 | 53 | 64;

export type JsonObject = {
  readonly kind: 'object';
  readonly members: readonly JsonMember[];
  /** Members that nobody knows by name: all whose names begin so, with any that `members` has among them. */
  readonly others?: readonly { readonly prefix: string; readonly type: JsonType }[];
};

export type JsonMember = {
  readonly name: string;
  readonly type: JsonType;
  /** May it be left out? */
  readonly optional?: boolean;
  /** In a few words: a column's type in Postgres. */
  readonly about?: string | undefined;
};

export const ANY: JsonType = { kind: 'any' };
export const NULL_TYPE: JsonType = { kind: 'null' };
export const BOOLEAN: JsonType = { kind: 'boolean' };
export const NUMBER: JsonType = { kind: 'number' };
export const STRING: JsonType = { kind: 'string' };

const INTEGERS = {
  16: { kind: 'integer', bits: 16 },
  32: { kind: 'integer', bits: 32 },
  53: { kind: 'integer', bits: 53 },
  64: { kind: 'integer', bits: 64 },
} as const satisfies Readonly<Record<IntegerBits, JsonType>>;
export const integer = (bits: IntegerBits): JsonType => INTEGERS[bits];

export const constant = (value: string | number | boolean): JsonType => ({ kind: 'constant', value });
export const named = (name: string, type: JsonType): JsonType => ({ kind: 'named', name, type });
export const object = (members: readonly JsonMember[], others?: JsonObject['others']): JsonObject => ({
  kind: 'object',
  members,
  ...(others !== undefined && others.length > 0 && { others }),
});
export const member = (name: string, type: JsonType): JsonMember => ({ name, type });
export const maybe = (name: string, type: JsonType): JsonMember => ({ name, type, optional: true });
export const nullable = (type: JsonType): JsonType => unionOf(type, NULL_TYPE);

/** What a float can be that JSON has no number for. */
export const floatOrWord = (): JsonType =>
  unionOf(NUMBER, constant('NaN'), constant('Infinity'), constant('-Infinity'));

/** What is any of these. Null stands last. */
export function unionOf(...types: readonly JsonType[]): JsonType {
  const flat = types.flatMap((type) => (type.kind === 'union' ? type.of : type));
  if (flat.some(({ kind }) => kind === 'any')) return ANY;
  const kept: JsonType[] = [];
  for (const type of flat) {
    if (isWithin(type, flat) || kept.some((other) => isSameType(type, other))) continue;
    kept.push(type);
  }
  const of = [...kept.filter(({ kind }) => kind !== 'null'), ...kept.filter(({ kind }) => kind === 'null')];
  return of.length === 1 ? of[0]! : { kind: 'union', of };
}

/** A constant where its whole kind is there says nothing more. */
const isWithin = (type: JsonType, all: readonly JsonType[]): boolean =>
  type.kind === 'constant' && all.some(({ kind }) => kind === typeof type.value);

/** In whatever order members and alternatives stand. */
export const isSameType = (one: JsonType, other: JsonType): boolean =>
  one === other || keyOf(one) === keyOf(other);

function keyOf(type: JsonType): string {
  const parts: string[] = [];
  const own = withParts(type, (part) => {
    parts.push(keyOf(part));
    return NULL_TYPE;
  });
  if (own.kind === 'union') return JSON.stringify(['union', parts.toSorted()]);
  if (own.kind !== 'object') return JSON.stringify([own, parts]);
  const { members, others = [] } = own;
  const named = members.map(({ name, optional = false, about = '' }, i) =>
    JSON.stringify([name, optional, about, parts[i]]),
  );
  return JSON.stringify([named.toSorted(), others.map(({ prefix }) => prefix), parts.slice(members.length)]);
}

/** The type of this JSON alone, as `JSON.parse` gives it. */
export function typeOfJson(value: unknown): JsonType {
  if (value === null) return NULL_TYPE;
  if (Array.isArray(value)) return { kind: 'tuple', items: value.map(typeOfJson) };
  if (typeof value === 'object')
    return object(Object.entries(value).map(([name, each]) => member(name, typeOfJson(each))));
  return constant(value as string | number | boolean);
}

/** The type without what may stand for nothing. */
export const withoutNull = (type: JsonType): JsonType =>
  type.kind === 'union' ? unionOf(...type.of.filter(({ kind }) => kind !== 'null')) : type;

/** Without its name. */
export const unnamed = (type: JsonType): JsonType => (type.kind === 'named' ? unnamed(type.type) : type);

/** What stands at a member of it, where it is an object; null where there is none. */
export function typeAt(type: JsonType, name: string): JsonType {
  switch (type.kind) {
    case 'any':
      return ANY;
    case 'named':
      return typeAt(type.type, name);
    case 'union':
      return unionOf(...type.of.map((each) => typeAt(each, name)));
    case 'object': {
      const found = type.members.find((each) => each.name === name);
      const other = type.others?.find(({ prefix }) => name.startsWith(prefix));
      if (found === undefined) return other === undefined ? NULL_TYPE : nullable(other.type);
      return found.optional === true ? nullable(found.type) : found.type;
    }
    case 'null':
    case 'boolean':
    case 'number':
    case 'integer':
    case 'string':
    case 'constant':
    case 'array':
    case 'tuple':
    case 'dimensions':
      return NULL_TYPE;
    default:
      return type satisfies never;
  }
}

/** The same with other types in the places of those that stand in it. */
export function withParts(type: JsonType, change: (part: JsonType) => JsonType): JsonType {
  switch (type.kind) {
    case 'array':
    case 'dimensions':
      return { ...type, items: change(type.items) };
    case 'tuple':
      return { ...type, items: type.items.map(change) };
    case 'union':
      return { ...type, of: type.of.map(change) };
    case 'named':
      return { ...type, type: change(type.type) };
    case 'object': {
      const { members, others = [] } = type;
      return object(
        members.map((each) => ({ ...each, type: change(each.type) })),
        others.map((each) => ({ ...each, type: change(each.type) })),
      );
    }
    case 'any':
    case 'null':
    case 'boolean':
    case 'number':
    case 'integer':
    case 'string':
    case 'constant':
      return type;
    default:
      return type satisfies never;
  }
}

/** Is it true of the type, or of one that stands in it? */
export function someWithin(type: JsonType, isSo: (type: JsonType) => boolean): boolean {
  let found = false;
  const look = (each: JsonType): JsonType => {
    found ||= isSo(each);
    return withParts(each, look);
  };
  look(type);
  return found;
}

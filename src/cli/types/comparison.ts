// What differs between the messages that were described before and those that come now, member by member, and whether that breaks who reads
// them: it does where something may come that could not before, or something is gone. Pure.
import {
  isSameType,
  unnamed,
  withoutNull,
  type JsonMember,
  type JsonObject,
  type JsonType,
} from '../../core/json-type.ts';
import type { DescribedMessage } from '../../pipeline/sink/described/tables.ts';
import { typeText } from './typescript.ts';

export type Difference = {
  /** `record.price`; empty: the message itself. */
  readonly member: string;
  /** What is to be said of it: `was string, is string | null`. */
  readonly says: string;
  readonly breaks: boolean;
};

export type TableDifference = Difference & {
  /** Of which messages it is true. */
  readonly actions: readonly string[];
};

/** What is the same for several actions is said once. */
export function compareMessages(
  before: readonly DescribedMessage[],
  after: readonly DescribedMessage[],
): readonly TableDifference[] {
  const found = new Map<string, TableDifference>();
  const note = (action: string, difference: Difference): void => {
    const key = JSON.stringify(difference);
    const known = found.get(key);
    found.set(key, { ...difference, actions: [...(known?.actions ?? []), action] });
  };
  for (const { action, type } of before) {
    const now = after.find((each) => each.action === action);
    if (now === undefined) note(action, { member: '', says: 'such messages come no more', breaks: true });
    else for (const difference of compareTypes(type, now.type)) note(action, difference);
  }
  for (const { action } of after)
    if (!before.some((each) => each.action === action))
      note(action, { member: '', says: 'such messages come, too', breaks: true });
  return [...found.values()];
}

export function* compareTypes(given: JsonType, found: JsonType, member = ''): Generator<Difference, void> {
  const before = unnamed(given);
  const after = unnamed(found);
  if (isSameType(before, after)) return;
  const parts = comparable(before, after);
  if (parts !== undefined) {
    yield* compareTypes(...parts.of, member + parts.step);
    if (parts.wasNullable === parts.isNullable) return;
    const says = parts.isNullable ? 'may be null' : 'is never null';
    yield { member, says, breaks: parts.isNullable };
  } else if (before.kind === 'object' && after.kind === 'object') {
    yield* compareObjects(before, after, member);
  } else yield* compareWhole(before, after, member);
}

type Parts = {
  readonly of: readonly [before: JsonType, after: JsonType];
  readonly step: string;
  readonly wasNullable: boolean;
  readonly isNullable: boolean;
};

/** Of what is made of parts, or may be null, on both sides: what is to be looked at by itself. */
function comparable(before: JsonType, after: JsonType): Parts | undefined {
  const was = unnamed(withoutNull(before));
  const is = unnamed(withoutNull(after));
  const nullability = { wasNullable: was !== before, isNullable: is !== after };
  const isObject = was.kind === 'object' && is.kind === 'object';
  if (isObject && (was !== before || is !== after)) return { of: [was, is], step: '', ...nullability };
  const isList =
    (was.kind === 'array' && is.kind === 'array') || (was.kind === 'dimensions' && is.kind === 'dimensions');
  if (isList) return { of: [was.items, is.items], step: '[]', ...nullability };
  return undefined;
}

/** What is no object on both sides. */
function* compareWhole(before: JsonType, after: JsonType, member: string): Generator<Difference, void> {
  const was = alternativesOf(before);
  const is = alternativesOf(after);
  const labels = labelsOf(before, after);
  if (was !== undefined && is !== undefined) yield* compareAlternatives(was, is, member);
  else if (labels === undefined) {
    const says = `was ${textOf(before)}, is ${textOf(after)}`;
    yield { member, says, breaks: !isWithin(after, before) };
  } else {
    for (const label of labels.added) yield { member, says: `may be ${label}, too`, breaks: true };
    for (const label of labels.gone) yield { member, says: `is ${label} no more`, breaks: false };
  }
}

function* compareObjects(before: JsonObject, after: JsonObject, path: string): Generator<Difference, void> {
  const at = ({ name }: JsonMember): string => (path === '' ? name : `${path}.${name}`);
  for (const each of before.members) {
    const now = after.members.find(({ name }) => name === each.name);
    if (now === undefined) yield { member: at(each), says: 'is gone', breaks: true };
    else yield* compareMembers(each, now, at(each));
  }
  for (const each of after.members)
    if (!before.members.some(({ name }) => name === each.name))
      yield { member: at(each), says: `is new: ${textOf(each.type)}`, breaks: false };
  const was = JSON.stringify(before.others ?? []);
  if (was === JSON.stringify(after.others ?? [])) return;
  yield { member: path, says: 'may have other members than those that are named', breaks: true };
}

function* compareMembers(before: JsonMember, after: JsonMember, member: string): Generator<Difference, void> {
  yield* compareTypes(before.type, after.type, member);
  const isOptional = after.optional === true;
  if (isOptional !== (before.optional === true)) {
    yield { member, says: isOptional ? 'may be absent' : 'is never absent', breaks: isOptional };
  }
  if (before.about === undefined || after.about === undefined || before.about === after.about) return;
  yield { member, says: `is ${after.about} in Postgres, was ${before.about}`, breaks: false };
}

type Alternatives = ReadonlyMap<string, JsonObject>;

/** Of objects that a constant in their first member tells apart. */
function alternativesOf(type: JsonType): Alternatives | undefined {
  const objects = (type.kind === 'union' ? type.of : [type]).map(unnamed);
  const byName = new Map<string, JsonObject>();
  for (const each of objects) {
    const first = each.kind === 'object' ? each.members[0]?.type : undefined;
    if (each.kind !== 'object' || first?.kind !== 'constant') return undefined;
    byName.set(String(first.value), each);
  }
  return byName.size === objects.length ? byName : undefined;
}

function* compareAlternatives(
  before: Alternatives,
  after: Alternatives,
  path: string,
): Generator<Difference, void> {
  for (const [name, each] of before) {
    const now = after.get(name);
    const member = `${path}(${name})`;
    if (now === undefined) yield { member, says: 'is gone', breaks: true };
    else yield* compareTypes(each, now, member);
  }
  for (const name of after.keys())
    if (!before.has(name)) yield { member: `${path}(${name})`, says: 'is new', breaks: false };
}

/** Where all that differs is which words there may be. */
function labelsOf(before: JsonType, after: JsonType): { added: string[]; gone: string[] } | undefined {
  const partsOf = (type: JsonType): readonly JsonType[] => (type.kind === 'union' ? type.of : [type]);
  const split = (type: JsonType) => ({
    words: partsOf(type).flatMap((each) => (each.kind === 'constant' ? JSON.stringify(each.value) : [])),
    rest: partsOf(type)
      .filter(({ kind }) => kind !== 'constant')
      .map((each) => JSON.stringify(each))
      .toSorted(),
  });
  const was = split(before);
  const is = split(after);
  if (was.words.length === 0 || is.words.length === 0) return undefined;
  if (JSON.stringify(was.rest) !== JSON.stringify(is.rest)) return undefined;
  return {
    added: is.words.filter((word) => !was.words.includes(word)),
    gone: was.words.filter((word) => !is.words.includes(word)),
  };
}

/** Is every value of `one` a value of `other`, as far as a reader of `other` looks? */
export function isWithin(one: JsonType, other: JsonType): boolean {
  const a = unnamed(one);
  const b = unnamed(other);
  if (b.kind === 'any' || isSameType(a, b)) return true;
  if (a.kind === 'union') return a.of.every((each) => isWithin(each, b));
  if (b.kind === 'union') return b.of.some((each) => isWithin(a, each));
  if (a.kind === 'constant') return b.kind === typeof a.value;
  if (a.kind === 'integer') return b.kind === 'number' || (b.kind === 'integer' && a.bits <= b.bits);
  if (a.kind === 'dimensions') return b.kind === 'dimensions' && isWithin(a.items, b.items);
  if (a.kind === 'tuple' && b.kind === 'tuple')
    return a.items.length === b.items.length && a.items.every((item, i) => isWithin(item, b.items[i]!));
  if (a.kind === 'tuple') return b.kind === 'array' && a.items.every((item) => isWithin(item, b.items));
  if (a.kind === 'array') return b.kind === 'array' && isWithin(a.items, b.items);
  return a.kind === 'object' && b.kind === 'object' && isWithinObject(a, b);
}

const isWithinObject = (a: JsonObject, b: JsonObject): boolean =>
  b.members.every(({ name, type, optional }) => {
    const found = a.members.find((each) => each.name === name);
    if (found === undefined) return optional === true;
    return (optional === true || found.optional !== true) && isWithin(found.type, type);
  });

/** In one line; TypeScript has one word for all numbers. */
function textOf(type: JsonType): string {
  const each = unnamed(type);
  if (each.kind === 'integer') return each.bits === 53 ? 'integer' : `${each.bits}-bit integer`;
  if (each.kind === 'union') return each.of.map(textOf).join(' | ');
  return typeText(each).replaceAll(/\s+/g, ' ');
}

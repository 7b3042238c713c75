// A part of an expression as another type: literals are read, casts applied, constants worked out at once.
import { castContext, categoryOf, elementOf, isEnum, isImplicit, type SqlType } from './catalog/types.ts';
import { NO_COLLATION, type Derived } from './collations.ts';
import { WhereRefusal } from './fault.ts';
import type { Evaluate, Node } from './node.ts';
import { isKnown } from './node.ts';
import { castOf, modifierOf } from './operations/casts.ts';
import { isBeyondAscii } from './operations/operation.ts';
import type { Coercing, FilterRow } from './scope.ts';
import { conversionOf } from './values/conversions.ts';
import { EvaluationError } from './values/failure.ts';
import { ABSENT, type Result, type Value } from './values/value.ts';

export const isText = (type: SqlType): boolean =>
  categoryOf(type) === 'S' || (elementOf(type) !== undefined && categoryOf(elementOf(type)!) === 'S');

/** What a text has whose parts are no texts. */
export const collationOf = (type: SqlType, derived: Derived, { defaultCollation }: Coercing): Derived =>
  !isText(type)
    ? NO_COLLATION
    : derived.strength === 'none'
      ? { strength: 'implicit', collation: defaultCollation }
      : derived;

export type NodeParts = {
  readonly type: SqlType;
  readonly at: number;
  readonly collation: Derived;
  readonly evaluate: Evaluate;
  readonly parts: readonly Node[];
};

/** A node over others; what is the same for every row is worked out now. Throws WhereRefusal where that is an error. */
export function nodeOf({ parts, ...node }: NodeParts): Node {
  const hasColumn = parts.some((part) => part.hasColumn);
  const isConstant = parts.every(({ constant }) => constant !== undefined);
  return isConstant
    ? constantNode({ ...node, hasColumn: false }, () => node.evaluate(NO_ROW))
    : { ...node, hasColumn, constant: undefined };
}

/** A constant is not read from a row. */
const NO_ROW = undefined as unknown as FilterRow;

function constantNode(node: Omit<Node, 'constant'>, work: () => ReturnType<Evaluate>): Node {
  const constant = workedOut(work, node.at);
  return { ...node, constant, evaluate: () => constant };
}

function workedOut(work: () => ReturnType<Evaluate>, at: number): Value | null {
  let result: ReturnType<Evaluate>;
  try {
    result = work();
  } catch (error) {
    if (error instanceof EvaluationError) throw new WhereRefusal(error.message, at);
    throw error;
  }
  if (result === ABSENT)
    throw new WhereRefusal("what this comes to is the server's own; write the result instead", at);
  return result;
}

export const nullOf = (type: SqlType, at: number, collation: Derived): Node => ({
  type,
  at,
  collation,
  constant: null,
  evaluate: () => null,
  hasColumn: false,
});

/** As an argument is made the declared type, by an implicit cast. */
export function coerce(node: Node, target: SqlType, context: Coercing): Node {
  if (node.type === target) return node;
  if (node.type === 'unknown') return literalAs(node, target, context);
  const cast = castOf(node.type, target);
  if (cast === undefined || !isImplicit(node.type, target)) throw noCast(node, target);
  return castNode(node, target, cast, context);
}

const noCast = ({ type, at }: Node, target: SqlType): WhereRefusal =>
  new WhereRefusal(`${describeType(type)} does not become ${describeType(target)} here`, at);

function castNode(node: Node, target: SqlType, cast: (value: Value) => Result, context: Coercing): Node {
  const { evaluate } = node;
  return nodeOf({
    type: target,
    at: node.at,
    collation: collationOf(target, isText(node.type) ? node.collation : NO_COLLATION, context),
    evaluate: (row) => {
      const value = evaluate(row);
      return isKnown(value) ? cast(value) : value;
    },
    parts: [node],
  });
}

/** `x::type`, with the modifiers of the type. */
export function castExplicitly(
  node: Node,
  {
    target,
    modifiers,
    at,
  }: { readonly target: SqlType; readonly modifiers: readonly number[]; readonly at: number },
  context: Coercing,
): Node {
  const plain =
    node.type === 'unknown' ? literalAs(node, target, context) : castByRule(node, target, at, context);
  if (modifiers.length === 0) return { ...plain, at };
  const modifier = modifierOf(elementOf(target) === undefined ? target : '', modifiers);
  if (modifier === undefined)
    throw new WhereRefusal(`${describeType(target)} does not take this modifier`, at);
  const isForeign = isText(target) && context.foreignUnit === 'characters';
  const cut = (value: Value): Result => (isForeign && isBeyondAscii(value) ? ABSENT : modifier(value));
  return { ...castNode(plain, target, cut, context), at };
}

function castByRule(node: Node, target: SqlType, at: number, context: Coercing): Node {
  const cast = castOf(node.type, target);
  if (cast !== undefined) return { ...castNode(node, target, cast, context), at };
  const hint =
    SESSION_CASTS.has(target) || castContext(node.type, target) !== undefined
      ? `: ${hintOf(node.type, target)}`
      : '';
  throw new WhereRefusal(
    `a cast from ${describeType(node.type)} to ${describeType(target)} is not on the list of what a filter may have${hint}`,
    at,
  );
}

const SESSION_CASTS: ReadonlySet<SqlType> = new Set(['date', 'time', 'interval', 'timestamp', 'timestamptz']);

function hintOf(source: SqlType, target: SqlType): string {
  const zoned = source === 'timestamptz' || target === 'timestamptz';
  if (zoned && source !== target)
    return "it depends on the session's time zone; say which one: AT TIME ZONE 'UTC'";
  return 'it depends on the session or the version of the server';
}

const RELATIVE = /^(?:now|today|tomorrow|yesterday|epoch)$/i;

/** A literal, read as the type that it is to be. */
function literalAs(node: Node, target: SqlType, context: Coercing): Node {
  const { at, constant } = node;
  const collation = collationOf(target, node.collation, context);
  if (constant === null) return nullOf(target, at, collation);
  const text = constant as string;
  const refusal = literalFault(text, target);
  if (refusal !== undefined) throw new WhereRefusal(refusal, at);
  const conversion = conversionOf(target);
  if (conversion === undefined)
    throw new WhereRefusal(`a filter does not know values of the type ${describeType(target)}`, at);
  const base = { type: target, at, collation, hasColumn: false, evaluate: () => null };
  return constantNode(base, () => conversion.parse(text));
}

/** A label of an enum is not looked up: it may have been added after the row was written. */
function literalFault(text: string, target: SqlType): string | undefined {
  const scalar = elementOf(target) ?? target;
  if (!SESSION_CASTS.has(scalar)) {
    if (target === 'json' && !isJson(text)) return 'this is no JSON document';
    return undefined;
  }
  if (RELATIVE.test(text.trim()))
    return `'${text.trim()}' depends on when it is asked; meta.commit_timestamp is the time of the change`;
  if (target !== scalar) return undefined;
  return isReadable(text, target)
    ? undefined
    : `a constant of the type ${describeType(target)} is written ${FORMS[target]!}`;
}

function isReadable(text: string, target: SqlType): boolean {
  try {
    conversionOf(target)!.parse(text);
    return true;
  } catch (error) {
    // Out of range: said as the server says it.
    return error instanceof EvaluationError && error.sqlState !== '22P02';
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const FORMS: Readonly<Record<string, string>> = {
  date: "'2026-01-31'",
  time: "'13:45:00'",
  interval:
    "'1 day 02:03:04' (behind a negative number each with its sign: '-1 day +02:03:04') or 'P1DT2H3M4S'",
  timestamp: "'2026-01-31 13:45:00'",
  timestamptz: "with its offset, '2026-01-31 13:45:00+00'",
};

/** As SQL's users call it. */
export function describeType(type: SqlType): string {
  if (type === 'unknown') return 'a literal';
  if (isEnum(type)) return 'an enum';
  const element = elementOf(type);
  return element === undefined ? type : `${isEnum(element) ? 'enum' : element}[]`;
}

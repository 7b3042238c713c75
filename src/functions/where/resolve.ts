// From a filter's syntax to something that can be evaluated: every part gets the type that Postgres would give it. Throws WhereRefusal.
import { didYouMean, nearestName } from '../../core/nearest-name.ts';
import { commonType } from './catalog/candidates.ts';
import { arrayOf, elementOf, isKnownType, type SqlType } from './catalog/types.ts';
import { call, comparison, operator, withElements, type Comparison } from './calls.ts';
import { coalesceNode, combined, common, listNode, simplifiedCase, tellCommon } from './choices.ts';
import { C_COLLATION, NO_COLLATION, type Derived } from './collations.ts';
import { condition, decided } from './conditions.ts';
import { castExplicitly, coerce, collationOf, describeType, isText, nodeOf, nullOf } from './coercion.ts';
import { WhereRefusal } from './fault.ts';
import { not, type Evaluate, type Node } from './node.ts';
import { extremeNode, rowsNode } from './ordered.ts';
import type { Scope } from './scope.ts';
import { subscriptNode } from './subscripts.ts';
import type { Literal, Syntax, TypeName } from './syntax.ts';
import { conversionOf, INTEGER_RANGES, MAX_INT8 } from './values/conversions.ts';
import { parseNumeric } from './values/numeric.ts';
import { ABSENT, type Value } from './values/value.ts';

/** A condition over the columns of `scope`. */
export function resolveFilter(syntax: Syntax, scope: Scope): Node {
  return asCondition(resolve(syntax, scope), scope);
}

type Of<Kind extends Syntax['kind']> = Extract<Syntax, { kind: Kind }>;

/** Also the parts of an expression that is no condition: for whoever compares types with the server's. */
export function resolve(syntax: Syntax, scope: Scope): Node {
  const below = (part: Syntax): Node => resolve(part, scope);
  const { at } = syntax;
  switch (syntax.kind) {
    case 'literal':
      return literalNode(syntax.literal, at);
    case 'column':
      return columnNode(syntax, scope);
    case 'operator': {
      const operands = [...(syntax.left === undefined ? [] : [below(syntax.left)]), below(syntax.right)];
      return operator(syntax.name, operands, at, scope);
    }
    case 'and':
    case 'or':
      return logic(syntax, scope);
    case 'not': {
      const operand = asCondition(below(syntax.operand), scope);
      return condition(at, not(operand.evaluate), [operand]);
    }
    case 'is-null':
      return nullTest(below(syntax.operand), syntax);
    case 'is-truth':
      return truthTest(asCondition(below(syntax.operand), scope), syntax);
    case 'distinct':
      return distinct(syntax, scope);
    case 'nullif':
      return nullIf(syntax, scope);
    case 'in':
      return inList(syntax, scope);
    case 'between':
      return between(syntax, scope);
    case 'any':
    case 'all':
      return withElements(
        { name: syntax.name, isAny: syntax.kind === 'any', at },
        below(syntax.left),
        below(syntax.right),
        scope,
      );
    case 'case':
      return caseNode(syntax, scope);
    case 'coalesce':
      return coalesce(syntax, scope);
    case 'extreme':
      return extremeNode(syntax.parts.map(below), syntax.isGreatest, at, scope);
    case 'rows':
      return rowsNode({ ...syntax, left: syntax.left.map(below), right: syntax.right.map(below) }, scope);
    case 'subscript':
      return subscriptNode(below(syntax.operand), syntax.indexes.map(below), at, scope);
    case 'call':
      return call(syntax.name, syntax.args.map(below), at, scope);
    case 'cast':
      return castExplicitly(below(syntax.operand), { ...typeOf(syntax.type), at }, scope);
    case 'array':
      return arrayNode(syntax, scope);
    case 'collate':
      return collate(syntax, scope);
    default:
      return syntax satisfies never;
  }
}

function asCondition(node: Node, scope: Scope): Node {
  if (node.type === 'unknown') return coerce(node, 'bool', scope);
  if (node.type === 'bool') return node;
  throw new WhereRefusal(
    `a condition is expected here, not a value of the type ${describeType(node.type)}`,
    node.at,
  );
}

function literalNode(literal: Literal, at: number): Node {
  const [type, constant] = typedLiteral(literal, at);
  return { type, at, constant, collation: NO_COLLATION, evaluate: () => constant, hasColumn: false };
}

function typedLiteral(literal: Literal, at: number): [SqlType, Value | null] {
  switch (literal.kind) {
    case 'null':
      return ['unknown', null];
    case 'boolean':
      return ['bool', literal.value];
    case 'integer':
      return ['int4', literal.value];
    case 'text':
      return ['unknown', literal.text];
    case 'decimal': {
      const { text } = literal;
      if (!/^-?[\d.]+(?:e[+-]?\d+)?$/i.test(text))
        throw new WhereRefusal('write this number with decimal digits only', at);
      if (!/^-?\d+$/.test(text)) return ['numeric', parseNumeric(text)];
      const value = BigInt(text);
      // Only the least one is written like this.
      if (value === BigInt(INTEGER_RANGES.int4.min)) return ['int4', Number(value)];
      return value > MAX_INT8 || value < -MAX_INT8 - 1n ? ['numeric', parseNumeric(text)] : ['int8', value];
    }
    default:
      return literal satisfies never;
  }
}

function columnNode({ image, name, at }: Of<'column'>, scope: Scope): Node {
  const column = scope.column(image, name);
  if (typeof column === 'string') throw new WhereRefusal(column, at);
  const shown = image === 'row' ? name : `${image}.${name}`;
  if (column === undefined) {
    const nearest = didYouMean(nearestName(name, scope.names(image)));
    throw new WhereRefusal(`there is no column "${shown}"${nearest}`, at);
  }
  const { type, typeText, collation, read } = column;
  if (type === undefined)
    throw new WhereRefusal(
      `the column "${shown}" has the type ${typeText}, which a filter does not know`,
      at,
    );
  const derived: Derived =
    collation === undefined ? collationOf(type, NO_COLLATION, scope) : { strength: 'implicit', collation };
  return { type, at, collation: derived, evaluate: read, constant: undefined, hasColumn: true };
}

const logic = ({ kind, parts, at }: Of<'and' | 'or'>, scope: Scope): Node =>
  decided(
    kind,
    parts.map((part) => asCondition(resolve(part, scope), scope)),
    at,
  );

function nullTest(operand: Node, { negated, at }: Of<'is-null'>): Node {
  const { evaluate } = operand;
  const isNull: Evaluate = (row) => {
    const value = evaluate(row);
    return value === ABSENT ? ABSENT : (value === null) !== negated;
  };
  return condition(at, isNull, [operand]);
}

function truthTest(operand: Node, { truth, negated, at }: Of<'is-truth'>): Node {
  const { evaluate } = operand;
  const isTruth: Evaluate = (row) => {
    const value = evaluate(row);
    return value === ABSENT ? ABSENT : (value === truth) !== negated;
  };
  return condition(at, isTruth, [operand]);
}

/** `=` of both, for what is known of each; NULL is not distinct from NULL. */
function distinct(syntax: Of<'distinct'>, scope: Scope): Node {
  const { negated, at } = syntax;
  const { compare, left, right } = equality(syntax, scope);
  const isDistinct: Evaluate = (row) => {
    const one = left.evaluate(row);
    const other = right.evaluate(row);
    if (one === ABSENT || other === ABSENT) return ABSENT;
    if (one === null || other === null) return (one !== other) !== negated;
    const same = compare(one, other);
    return same === ABSENT ? ABSENT : (same === false) !== negated;
  };
  return condition(at, isDistinct, [left, right]);
}

const equality = ({ left, right, at }: Of<'distinct'> | Of<'nullif'>, scope: Scope): Comparison =>
  comparison('=', [resolve(left, scope), resolve(right, scope)], at, scope);

/** Of the type that the first one is compared as (`transformAExprNullIf` of parse_expr.c). */
function nullIf(syntax: Of<'nullif'>, scope: Scope): Node {
  const { at } = syntax;
  const { compare, left, right, collation: derived } = equality(syntax, scope);
  const { type } = left;
  const collation = collationOf(type, derived, scope);
  // The server does not look at the other one where one is NULL for certain.
  if (left.constant === null || right.constant === null)
    return { ...left, at, collation, hasColumn: left.hasColumn || right.hasColumn };
  const evaluate: Evaluate = (row) => {
    const value = left.evaluate(row);
    const other = right.evaluate(row);
    if (value === null) return null;
    if (other === null) return value;
    const same = value === ABSENT || other === ABSENT ? ABSENT : compare(value, other);
    return same === true ? null : same === ABSENT ? ABSENT : value;
  };
  return nodeOf({ type, at, collation, evaluate, parts: [left, right] });
}

/** As `transformAExprIn`: the items without columns are one list of one type, the others are compared one by one. */
function inList({ operand, items, negated, at }: Of<'in'>, scope: Scope): Node {
  const left = resolve(operand, scope);
  const nodes = items.map((item) => resolve(item, scope));
  const listed = nodes.filter(({ hasColumn }) => !hasColumn);
  const common = listed.length > 1 ? commonType([left, ...listed].map(({ type }) => type)) : undefined;
  const hasList =
    common !== undefined && elementOf(common) === undefined && conversionOf(common) !== undefined;
  if (hasList) tellCommon([left, ...listed], common, at, scope);
  const name = negated ? '<>' : '=';
  const single = (node: Node): Node => operator(name, [left, node], at, scope);
  const tests = hasList
    ? [
        withElements({ name, isAny: !negated, at }, left, listNode(listed, common, at, scope), scope),
        ...nodes.filter(({ hasColumn }) => hasColumn).map(single),
      ]
    : nodes.map(single);
  return tests.length === 1 ? tests[0]! : decided(negated ? 'and' : 'or', tests, at);
}

function between({ operand, low, high, negated, symmetric, at }: Of<'between'>, scope: Scope): Node {
  const [value, from, to] = [operand, low, high].map((part) => resolve(part, scope)) as [Node, Node, Node];
  const within = (a: Node, b: Node): Node =>
    decided('and', [operator('>=', [value, a], at, scope), operator('<=', [value, b], at, scope)], at);
  const test = symmetric ? decided('or', [within(from, to), within(to, from)], at) : within(from, to);
  return negated ? condition(at, not(test.evaluate), [test]) : test;
}

function caseNode({ subject, arms, otherwise, at }: Of<'case'>, scope: Scope): Node {
  const found = subject && resolve(subject, scope);
  const compared = found?.type === 'unknown' ? coerce(found, 'text', scope) : found;
  const tests = arms.map(({ when }) => {
    const node = resolve(when, scope);
    return compared === undefined
      ? asCondition(node, scope)
      : operator('=', [compared, node], when.at, scope);
  });
  const results = arms.map(({ result }) => resolve(result, scope));
  const last = otherwise === undefined ? nullOf('unknown', at, NO_COLLATION) : resolve(otherwise, scope);
  const type = common([last, ...results], 'CASE', at, scope);
  const values = results.map((node) => coerce(node, type, scope));
  const fallback = coerce(last, type, scope);
  const collation = combined([...values, fallback], at);
  const hasColumn = [...tests, ...values, fallback].some((node) => node.hasColumn);
  return { ...simplifiedCase({ tests, values, fallback, at, collation }), hasColumn };
}

const coalesce = ({ parts, at }: Of<'coalesce'>, scope: Scope): Node =>
  coalesceNode(
    parts.map((part) => resolve(part, scope)),
    at,
    scope,
  );

function arrayNode({ items, at }: Of<'array'>, scope: Scope): Node {
  if (items.length === 0)
    throw new WhereRefusal("an empty list has no type; write '{}'::text[] (or another type)", at);
  const nodes = items.map((item) => resolve(item, scope));
  const type = common(nodes, 'ARRAY', at, scope);
  if (elementOf(type) !== undefined) throw new WhereRefusal('a list of lists cannot stand in a filter', at);
  return listNode(nodes, type, at, scope);
}

function collate({ operand, collation, at }: Of<'collate'>, scope: Scope): Node {
  const inner = resolve(operand, scope);
  const node = inner.type === 'unknown' ? coerce(inner, 'text', scope) : inner;
  if (!isText(node.type)) throw new WhereRefusal(`${describeType(node.type)} has no collation`, at);
  const chosen =
    collation === 'C' || collation === 'POSIX'
      ? C_COLLATION
      : collation === 'default'
        ? scope.defaultCollation
        : undefined;
  if (chosen === undefined) throw new WhereRefusal('only COLLATE "C" is known to a filter', at);
  return { ...node, at, collation: { strength: 'explicit', collation: chosen } };
}

function typeOf({ name, isArray, modifiers, at }: TypeName): {
  target: SqlType;
  modifiers: readonly number[];
} {
  const target = isArray ? arrayOf(name) : name;
  if (!isKnownType(target) || conversionOf(target) === undefined)
    throw new WhereRefusal(
      `the type ${name}${isArray ? '[]' : ''} is not on the list of what a filter may have`,
      at,
    );
  return { target, modifiers };
}

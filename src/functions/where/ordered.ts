// What rests on the order of values: GREATEST and LEAST, rows that are compared part by part. Pure.
import { comparison, operator } from './calls.ts';
import { isEnum, type SqlType } from './catalog/types.ts';
import { common, combined } from './choices.ts';
import { coerce, describeType, nodeOf } from './coercion.ts';
import { condition } from './conditions.ts';
import { judgeTexts } from './collations.ts';
import { WhereRefusal } from './fault.ts';
import { isKnown, type Evaluate, type Node } from './node.ts';
import { orderOf } from './operations/comparisons.ts';
import { isBeyondAscii } from './operations/operation.ts';
import type { Coercing, Scope } from './scope.ts';
import { ABSENT, type Value } from './values/value.ts';

/** NULLs are passed over; of equal ones the first is taken (`ExecEvalMinMax` of execExprInterp.c). */
export function extremeNode(nodes: readonly Node[], isGreatest: boolean, at: number, scope: Scope): Node {
  const what = isGreatest ? 'GREATEST' : 'LEAST';
  const type = common(nodes, what, at, scope);
  const values = nodes.map((node) => coerce(node, type, scope));
  const collation = combined(values, at);
  const compare = knownOrder(type, at, scope);
  const judged = isText(type) ? judgeTexts('order', collation) : compare === undefined ? 'unknown' : 'known';
  if (typeof judged === 'object') throw new WhereRefusal(judged.refused, at);
  const evaluates = values.map(({ evaluate }) => evaluate);
  const isForeign = isText(type) && scope.foreignUnit === 'bytes';
  const isBetter = (value: Value, best: Value): boolean =>
    compare !== undefined && compare(value, best) * (isGreatest ? 1 : -1) > 0;
  const evaluate: Evaluate = (row) => {
    const found = evaluates.map((part) => part(row)).filter((value) => value !== null);
    if (found.includes(ABSENT) || (judged === 'unknown' && found.length > 1)) return ABSENT;
    if (isForeign && found.length > 1 && found.some(isBeyondAscii)) return ABSENT;
    return (found as readonly Value[]).reduce<Value | null>(
      (best, value) => (best === null || isBetter(value, best) ? value : best),
      null,
    );
  };
  return nodeOf({ type, at, collation, evaluate, parts: values });
}

const isText = (type: SqlType): boolean => type === 'text' || type === 'varchar' || type === 'bpchar';

/** Undefined: that of an enum whose labels are not known. */
function knownOrder(
  type: SqlType,
  at: number,
  { placesOf }: Coercing,
): ((a: Value, b: Value) => number) | undefined {
  if (isEnum(type)) {
    const places = placesOf(type);
    return places && ((a, b) => places.placeOf(a as string) - places.placeOf(b as string));
  }
  const order = orderOf(type);
  if (order === undefined)
    throw new WhereRefusal(`the order of ${describeType(type)} is not known to a filter`, at);
  return order;
}

/** The first parts that are not equal decide; a NULL that is come to makes it NULL (`ExecEvalRowCompare`). */
export function rowsNode(
  {
    name,
    left,
    right,
    at,
  }: {
    readonly name: string;
    readonly left: readonly Node[];
    readonly right: readonly Node[];
    readonly at: number;
  },
  scope: Scope,
): Node {
  // Of one value each it is the operator itself, and treated so.
  if (left.length === 1) return operator(name, [left[0]!, right[0]!], at, scope);
  const strict = name.slice(0, 1);
  const pairs = left.map((node, i) => [node, right[i]!] as const);
  const equals = pairs.map((pair) => comparison('=', pair, at, scope));
  const orders = pairs.map((pair) => comparison(strict, pair, at, scope));
  const evaluate: Evaluate = (row) => {
    for (const [i, { compare, left: a, right: b }] of equals.entries()) {
      const one = a.evaluate(row);
      const other = b.evaluate(row);
      if (one === null || other === null) return null;
      if (one === ABSENT || other === ABSENT) return ABSENT;
      const same = compare(one, other);
      if (!isKnown(same)) return same;
      if (same === false) return orders[i]!.compare(one, other);
    }
    return name !== strict;
  };
  return condition(
    at,
    evaluate,
    [...equals, ...orders].flatMap((one) => [one.left, one.right]),
  );
}

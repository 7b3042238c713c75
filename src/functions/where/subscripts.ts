// An element of an array: `tags[1]`. Pure.
import { elementOf } from './catalog/types.ts';
import { coerce, describeType, nodeOf } from './coercion.ts';
import { WhereRefusal } from './fault.ts';
import { isKnown, type Evaluate, type Node } from './node.ts';
import type { FilterRow, Scope } from './scope.ts';
import { elementAt } from './values/arrays.ts';
import { EvaluationError } from './values/failure.ts';
import { ABSENT, type Result, type SqlArray } from './values/value.ts';

/** Of an array that is NULL the subscripts are not looked at. */
export function subscriptNode(operand: Node, indexes: readonly Node[], at: number, scope: Scope): Node {
  const type = operand.type === 'unknown' ? undefined : elementOf(operand.type);
  if (type === undefined)
    throw new WhereRefusal(`only arrays have subscripts here, not ${describeType(operand.type)}`, at);
  const places = indexes.map((index) => coerce(index, 'int4', scope));
  const found = (row: FilterRow): readonly number[] | null | typeof ABSENT => {
    const values = places.map((place) => place.evaluate(row));
    return values.includes(null) ? null : values.includes(ABSENT) ? ABSENT : (values as number[]);
  };
  const evaluate: Evaluate = (row) => {
    const array = operand.evaluate(row);
    if (array === ABSENT) return unlessError(() => (found(row) === null ? null : ABSENT));
    if (!isKnown(array)) return array;
    const numbers = found(row);
    return numbers === null || numbers === ABSENT ? numbers : elementAt(array as SqlArray, numbers);
  };
  return nodeOf({ type, at, collation: operand.collation, evaluate, parts: [operand, ...places] });
}

/** An error comes only if the array is not NULL. */
function unlessError(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof EvaluationError) return ABSENT;
    throw error;
  }
}

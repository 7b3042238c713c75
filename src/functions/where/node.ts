// A part of a filter whose type is known, and how it is evaluated for a row: closures over closures. Hot (bench/micro/where.ts).
import type { SqlType } from './catalog/types.ts';
import type { Derived } from './collations.ts';
import type { Operation } from './operations/operation.ts';
import { UnknownLabel } from './values/enums.ts';
import { EvaluationError } from './values/failure.ts';
import { ABSENT, type Result, type Value } from './values/value.ts';
import type { FilterRow } from './scope.ts';

export type Evaluate = (row: FilterRow) => Result;

export type Node = {
  /** `unknown`: a literal whose type its neighbours decide. */
  readonly type: SqlType;
  /** Its place in the filter's text. */
  readonly at: number;
  readonly collation: Derived;
  readonly evaluate: Evaluate;
  /** It is the same for every row. Of an unknown literal: its text. */
  readonly constant: Value | null | undefined;
  /** Postgres asks of an IN whether an item has a column in it. */
  readonly hasColumn: boolean;
};

/** The arguments are all evaluated, from left to right, before one that is NULL decides: an error in one is an error. */
export function strict({ run }: Operation, args: readonly Node[]): Evaluate {
  const [a, b, c, d] = args.map(({ evaluate }) => evaluate);
  const call: (...values: Value[]) => Result = run;
  if (args.length === 1) {
    return (row) => {
      const x = a!(row);
      return x === null || x === ABSENT ? x : call(x);
    };
  }
  if (args.length === 2) return strictOfTwo(call, args);
  return (row) => {
    const values = [a!(row), b!(row), c!(row), ...(d === undefined ? [] : [d(row)])];
    if (values.includes(null)) return null;
    return values.includes(ABSENT) ? ABSENT : call(...(values as Value[]));
  };
}

function strictOfTwo(call: (a: Value, b: Value) => Result, [left, right]: readonly Node[]): Evaluate {
  const a = left!.evaluate;
  const constant = right!.constant;
  if (constant !== undefined && constant !== null) {
    return (row) => {
      const x = a(row);
      return x === null || x === ABSENT ? x : call(x, constant);
    };
  }
  const b = right!.evaluate;
  return (row) => {
    const x = a(row);
    const y = b(row);
    if (x === null || y === null) return null;
    return x === ABSENT || y === ABSENT ? ABSENT : call(x, y);
  };
}

/** false decides, wherever it stands; of several unknown ones nobody knows. */
export function all(parts: readonly Evaluate[]): Evaluate {
  return (row) => {
    let result: Result = true;
    for (let i = 0; i < parts.length; i++) {
      const value: Result = result === ABSENT ? afterAbsent(parts[i]!, row) : parts[i]!(row);
      if (value === false) return false;
      if (value === ABSENT) result = ABSENT;
      else if (value === null && result !== ABSENT) result = null;
    }
    return result;
  };
}

/** Behind what is not known, which might have decided: whether the server comes to an error here nobody knows either. */
function afterAbsent(part: Evaluate, row: FilterRow): Result {
  try {
    return part(row);
  } catch (error) {
    if (error instanceof EvaluationError && !(error instanceof UnknownLabel)) return ABSENT;
    throw error;
  }
}

/** true decides. */
export function any(parts: readonly Evaluate[]): Evaluate {
  return (row) => {
    let result: Result = false;
    for (let i = 0; i < parts.length; i++) {
      const value: Result = result === ABSENT ? afterAbsent(parts[i]!, row) : parts[i]!(row);
      if (value === true) return true;
      if (value === ABSENT) result = ABSENT;
      else if (value === null && result !== ABSENT) result = null;
    }
    return result;
  };
}

/** Anything but NULL and absent. */
export const isKnown = (result: Result): result is Value => result !== null && result !== ABSENT;

/** Of a known value, the other way round. */
export const not =
  (operand: Evaluate): Evaluate =>
  (row) => {
    const value = operand(row);
    return isKnown(value) ? value === false : value;
  };

// Arithmetic of numbers and dates, with the overflows and divisions by zero that Postgres has. Pure.
// https://www.postgresql.org/docs/current/functions-math.html
import { checkedDate } from '../values/dates.ts';
import { divisionByZero, EvaluationError, outOfRange } from '../values/failure.ts';
import { roundHalfEven } from '../values/floats.ts';
import { INTEGER_RANGES, MAX_INT8, MIN_INT8 } from '../values/conversions.ts';
import {
  absolute,
  add,
  ceiling,
  divide,
  floor,
  multiply,
  negate,
  remainder,
  round,
  sign,
  subtract,
  truncate,
  type Numeric,
} from '../values/numeric.ts';
import { operation, type Operation, type Operations } from './operation.ts';

const inRange = (type: 'int2' | 'int4', value: number): number => {
  const { min, max } = INTEGER_RANGES[type];
  if (value < min || value > max) throw outOfRange();
  // Never -0.
  return value + 0;
};

const int8 = (value: bigint): bigint => {
  if (value < MIN_INT8 || value > MAX_INT8) throw outOfRange();
  return value;
};

type Integer = number | bigint;

/** Of two integer types the result has the larger one; with int8 it is counted in bigints. */
function integerOperations(left: string, right: string): [string, Operation][] {
  if (left === 'int8' || right === 'int8') {
    return [
      [`+ ${left} ${right}`, operation((a: Integer, b: Integer) => int8(BigInt(a) + BigInt(b)))],
      [`- ${left} ${right}`, operation((a: Integer, b: Integer) => int8(BigInt(a) - BigInt(b)))],
      [`* ${left} ${right}`, operation((a: Integer, b: Integer) => int8(BigInt(a) * BigInt(b)))],
      [`/ ${left} ${right}`, operation((a: Integer, b: Integer) => int8(BigInt(a) / divisor(BigInt(b))))],
      [`% ${left} ${right}`, operation((a: Integer, b: Integer) => BigInt(a) % divisor(BigInt(b)))],
    ];
  }
  const type = left === 'int2' && right === 'int2' ? 'int2' : 'int4';
  return [
    [`+ ${left} ${right}`, operation((a: number, b: number) => inRange(type, a + b))],
    [`- ${left} ${right}`, operation((a: number, b: number) => inRange(type, a - b))],
    // Beyond 2^53 it is out of range, however it is rounded.
    [`* ${left} ${right}`, operation((a: number, b: number) => inRange(type, a * b))],
    [`/ ${left} ${right}`, operation((a: number, b: number) => inRange(type, Math.trunc(a / divisor(b))))],
    [`% ${left} ${right}`, operation((a: number, b: number) => (a % divisor(b)) + 0)],
  ];
}

function divisor<N extends Integer>(value: N): N {
  if (value === 0 || value === 0n) throw divisionByZero();
  return value;
}

/** float4 is rounded after each step; who is infinite without an infinite operand has overflowed. */
function floatOperations(left: string, right: string): [string, Operation][] {
  const fit = left === 'float4' && right === 'float4' ? Math.fround : (value: number): number => value;
  const checked = (result: number, isInfinite: boolean, mayBeZero: boolean): number => {
    if (!Number.isFinite(result) && !Number.isNaN(result) && !isInfinite) throw outOfRange();
    if (result === 0 && !mayBeZero) throw outOfRange();
    return result;
  };
  const infinite = (a: number, b = 0): boolean => Math.abs(a) === Infinity || Math.abs(b) === Infinity;
  return [
    [`+ ${left} ${right}`, operation((a: number, b: number) => checked(fit(a + b), infinite(a, b), true))],
    [`- ${left} ${right}`, operation((a: number, b: number) => checked(fit(a - b), infinite(a, b), true))],
    [
      `* ${left} ${right}`,
      operation((a: number, b: number) => checked(fit(a * b), infinite(a, b), a === 0 || b === 0)),
    ],
    [
      `/ ${left} ${right}`,
      operation((a: number, b: number) => {
        if (b === 0 && !Number.isNaN(a)) throw divisionByZero();
        return checked(fit(a / b), infinite(a), a === 0 || infinite(b));
      }),
    ],
  ];
}

const NUMERIC_OPERATIONS: Operations = {
  '+ numeric numeric': operation(add),
  '- numeric numeric': operation(subtract),
  '* numeric numeric': operation(multiply),
  '/ numeric numeric': operation(divide),
  '% numeric numeric': operation(remainder),
  'mod numeric numeric': operation(remainder),
  '+ numeric': operation((a: Numeric) => a),
  '- numeric': operation(negate),
  'abs numeric': operation(absolute),
  'sign numeric': operation(sign),
  'ceil numeric': operation(ceiling),
  'ceiling numeric': operation(ceiling),
  'floor numeric': operation(floor),
  'round numeric': operation((a: Numeric) => round(a, 0)),
  'round numeric int4': operation(round),
  'trunc numeric': operation((a: Numeric) => truncate(a, 0)),
  'trunc numeric int4': operation(truncate),
};

const UNARY: readonly [string, Operation][] = (['int2', 'int4'] as const).flatMap(
  (type): [string, Operation][] => [
    [`+ ${type}`, operation((a: number) => a)],
    [`- ${type}`, operation((a: number) => inRange(type, -a))],
    [`abs ${type}`, operation((a: number) => inRange(type, Math.abs(a)))],
  ],
);

const FLOAT_FUNCTIONS: Operations = {
  '+ float4': operation((a: number) => a),
  '+ float8': operation((a: number) => a),
  '- float4': operation((a: number) => -a),
  '- float8': operation((a: number) => -a),
  'abs float4': operation((a: number) => Math.abs(a)),
  'abs float8': operation((a: number) => Math.abs(a)),
  'ceil float8': operation((a: number) => Math.ceil(a)),
  'ceiling float8': operation((a: number) => Math.ceil(a)),
  'floor float8': operation((a: number) => Math.floor(a)),
  'round float8': operation(roundHalfEven),
  'trunc float8': operation((a: number) => Math.trunc(a)),
  'sign float8': operation((a: number) => (a > 0 ? 1 : a < 0 ? -1 : 0)),
};

const INT8_FUNCTIONS: Operations = {
  '+ int8': operation((a: bigint) => a),
  '- int8': operation((a: bigint) => int8(-a)),
  'abs int8': operation((a: bigint) => int8(a < 0n ? -a : a)),
  'mod int2 int2': operation((a: number, b: number) => (a % divisor(b)) + 0),
  'mod int4 int4': operation((a: number, b: number) => (a % divisor(b)) + 0),
  'mod int8 int8': operation((a: bigint, b: bigint) => a % divisor(b)),
};

function dateMinusDate(a: number, b: number): number {
  if (!Number.isFinite(a) || !Number.isFinite(b)) throw new EvaluationError('22008');
  return a - b;
}

const DATE_OPERATIONS: Operations = {
  '+ date int4': operation((a: number, b: number) => checkedDate(a + b)),
  '+ int4 date': operation((a: number, b: number) => checkedDate(a + b)),
  '- date int4': operation((a: number, b: number) => checkedDate(a - b)),
  '- date date': operation(dateMinusDate),
};

const pairs = (types: readonly string[]): [string, string][] =>
  types.flatMap((left) => types.map((right): [string, string] => [left, right]));

/** Of the operators `%` and of two int2 and int4 there is none: the smaller one is cast. */
export const arithmetic: Operations = {
  ...Object.fromEntries(pairs(['int2', 'int4', 'int8']).flatMap(([a, b]) => integerOperations(a, b))),
  ...Object.fromEntries(pairs(['float4', 'float8']).flatMap(([a, b]) => floatOperations(a, b))),
  ...Object.fromEntries(UNARY),
  ...NUMERIC_OPERATIONS,
  ...FLOAT_FUNCTIONS,
  ...INT8_FUNCTIONS,
  ...DATE_OPERATIONS,
};

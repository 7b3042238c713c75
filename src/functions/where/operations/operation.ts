// What an operator, function or cast does with values; strict, all of them: NULL where one argument is NULL.
import type { TextUnit } from '../../../core/change.ts';
import { isAscii, type Letters } from '../letters/letters.ts';
import { ABSENT, type Value } from '../values/value.ts';

/**
 * What must be known of the collation of its texts: `equal`: are equal texts equal bytes? `order`: is it that of bytes? `letters`: which are
 * there, small and capital?
 */
export type TextRule = 'equal' | 'order' | 'letters';

export type Outcome = Value | null | typeof ABSENT;

type Run = (a: Value, b: Value, c: Value, d: Value) => Outcome;

export type Operation = {
  readonly run: Run;
  readonly texts?: TextRule;
  /** What it counts, cuts or orders its texts by. */
  readonly units?: readonly TextUnit[];
  /** What it does where these are the letters. */
  readonly withLetters?: (letters: Letters) => Run;
  /** An argument must be a constant, and what it does is made of that, once. */
  readonly ofConstant?: {
    readonly index: number;
    readonly wanted: string;
    /** Throws PatternFault. */
    readonly make: (value: Value) => Operation;
  };
};

/** By signature: `= int4 int4`, `lower text`; a cast: `int4::text`. */
export type Operations = Readonly<Record<string, Operation>>;

/** The arguments' types are what the signature says. */
type Typed = (a: never, b: never, c: never, d: never) => Outcome;

export const operation = (run: Typed, texts?: TextRule): Operation => ({
  run: run as Run,
  ...(texts && { texts }),
});

export const inUnits = (of: Operation, ...units: readonly TextUnit[]): Operation => ({ ...of, units });

export const isBeyondAscii = (value: Outcome): boolean => typeof value === 'string' && !isAscii(value);

/** Every encoding of a database has ASCII as it is. */
export function inForeignUnits(of: Operation, foreignUnit: TextUnit | undefined): Operation {
  const { run, units, texts } = of;
  const rests =
    foreignUnit !== undefined &&
    (units?.includes(foreignUnit) || (texts === 'order' && foreignUnit === 'bytes'));
  return rests ? { ...of, run: (...values) => (values.some(isBeyondAscii) ? ABSENT : run(...values)) } : of;
}

export const unknownTexts: Operation = { run: () => ABSENT };

export const ofLetters = (make: (letters: Letters) => Typed): Operation => ({
  ...unknownTexts,
  texts: 'letters',
  withLetters: (letters) => make(letters) as Run,
});

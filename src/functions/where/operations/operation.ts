// What an operator, function or cast does with values; strict, all of them: NULL where one argument is NULL.
import type { ABSENT, Value } from '../values/value.ts';

/** What must be known of the collation of its texts: `equal`: are equal texts equal bytes? `order`: is it that of bytes? `case`: see case-mapping.ts. */
export type TextRule = 'equal' | 'order' | 'case';

export type Outcome = Value | null | typeof ABSENT;

export type Operation = {
  readonly run: (a: Value, b: Value, c: Value, d: Value) => Outcome;
  readonly texts?: TextRule;
};

/** By signature: `= int4 int4`, `lower text`; a cast: `int4::text`. */
export type Operations = Readonly<Record<string, Operation>>;

/** The arguments' types are what the signature says. */
export const operation = (
  run: (a: never, b: never, c: never, d: never) => Outcome,
  texts?: TextRule,
): Operation => ({ run: run as Operation['run'], ...(texts && { texts }) });

// What was chosen where Postgres' rules of types choose: told to whoever compares it with the server's own choice.
import type { SqlType } from './catalog/types.ts';

/** Of a part that stands there: its type, of an untyped literal its text (null: NULL). */
export type Operand = { readonly type: SqlType; readonly literal?: string | null };

/**
 * An operator, a function, an operator over the elements of an array, or the type that several parts have in common.
 * `args`: what the operands become.
 */
export type ResolvedChoice = {
  readonly kind: 'operator' | 'function' | 'any' | 'all' | 'common';
  /** Of what is common: nothing. */
  readonly name: string;
  readonly operands: readonly Operand[];
  readonly args: readonly SqlType[];
  readonly result: SqlType;
  /** Its place in the filter's text. */
  readonly at: number;
};

export const operandOf = ({
  type,
  constant,
}: {
  readonly type: SqlType;
  readonly constant: unknown;
}): Operand => (type === 'unknown' ? { type, literal: constant as string | null } : { type });

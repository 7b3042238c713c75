// A regular expression, as far as it means the same for Postgres and for an engine of linear time.
// https://www.postgresql.org/docs/current/functions-matching.html#FUNCTIONS-POSIX-REGEXP

import type { CodeRange } from '../letters/letters.ts';

/** One character of these; `negated`: of all others. */
export type CharacterSet = { readonly ranges: readonly CodeRange[]; readonly negated: boolean };

export type Pattern =
  | ({ readonly kind: 'one' } & CharacterSet)
  | { readonly kind: 'start' | 'end' | 'boundary' | 'no-boundary' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'repeat'; readonly part: Pattern; readonly min: number; readonly max: number };

/** All characters that it names. */
export function rangesIn(pattern: Pattern): readonly CodeRange[] {
  switch (pattern.kind) {
    case 'one':
      return pattern.ranges;
    case 'repeat':
      return rangesIn(pattern.part);
    case 'sequence':
    case 'choice':
      return pattern.parts.flatMap(rangesIn);
    case 'start':
    case 'end':
    case 'boundary':
    case 'no-boundary':
      return [];
    default:
      return pattern satisfies never;
  }
}

/** What a pattern has that is not taken, or that is wrong. */
export class PatternFault extends Error {
  constructor(what: string, pattern: string, at: number) {
    super(`${what} (character ${at + 1} of the pattern ${pattern})`);
    this.name = 'PatternFault';
  }
}

const range = (from: string, to: string): CodeRange => [from.codePointAt(0)!, to.codePointAt(0)!];
const LOWER = range('a', 'z');
const UPPER = range('A', 'Z');
const DIGIT = range('0', '9');

/**
 * Within ASCII they are the same for every library; beyond it each has its own. So have they for `punct`, `graph`, `print` and `cntrl`
 * within it.
 */
export const CLASSES: Readonly<Record<string, readonly CodeRange[]>> = {
  alpha: [LOWER, UPPER],
  digit: [DIGIT],
  alnum: [LOWER, UPPER, DIGIT],
  lower: [LOWER],
  upper: [UPPER],
  space: [range('\t', '\r'), range(' ', ' ')],
  blank: [range('\t', '\t'), range(' ', ' ')],
  xdigit: [DIGIT, range('a', 'f'), range('A', 'F')],
};

/** Behind a backslash; as a capital: all others. */
export const ESCAPED_CLASSES: Readonly<Record<string, readonly CodeRange[]>> = {
  d: CLASSES['digit']!,
  s: CLASSES['space']!,
  // `[[:word:]]` is there since Postgres 14 only.
  w: [...CLASSES['alnum']!, range('_', '_')],
};

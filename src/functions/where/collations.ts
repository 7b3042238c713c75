// Whose collation a text has, by SQL's rule, and what a filter may do with texts of it. Pure.
// https://www.postgresql.org/docs/current/collation.html#COLLATION-CONCEPTS
import type { CollationFacts } from '../../core/change.ts';
import type { TextRule } from './operations/operation.ts';
import { ASCII_LETTERS, C_LETTERS, tableLetters, type Letters } from './letters/letters.ts';

export type Collation = {
  /** Two collations are one where their names are. */
  readonly name: string;
  readonly isDefault: boolean;
  /** Undefined: not known when the row was written. */
  readonly facts: CollationFacts | undefined;
};

/** What is known of the letters of its texts. */
export function lettersOf({ facts }: Collation): Letters {
  if (facts?.letters === 'ascii') return C_LETTERS;
  return facts?.cases === undefined ? ASCII_LETTERS : tableLetters(facts.cases);
}

/** Of a part of an expression: where its collation comes from. `none`: it is no text, and has none in it. */
export type Derived =
  | { readonly strength: 'none' }
  | { readonly strength: 'implicit' | 'explicit'; readonly collation: Collation }
  | { readonly strength: 'conflict' };

export const NO_COLLATION: Derived = { strength: 'none' };

export const C_COLLATION: Collation = {
  name: 'C',
  isDefault: false,
  facts: { isDeterministic: true, isByteOrder: true, letters: 'ascii' },
};

/** `assign_collations` of parse_collate.c. `clash`: two explicit ones, which Postgres refuses. */
export function combine(parts: readonly Derived[]): Derived | 'clash' {
  let result: Derived = NO_COLLATION;
  for (const part of parts) {
    const merged = merge(result, part);
    if (merged === 'clash') return merged;
    result = merged;
  }
  return result;
}

function merge(a: Derived, b: Derived): Derived | 'clash' {
  if (b.strength === 'none') return a;
  if (a.strength === 'none') return b;
  if (a.strength === 'explicit' || b.strength === 'explicit') {
    if (a.strength !== 'explicit') return b;
    if (b.strength !== 'explicit') return a;
    return a.collation.name === b.collation.name ? a : 'clash';
  }
  if (a.strength === 'conflict' || b.strength === 'conflict') return { strength: 'conflict' };
  if (a.collation.name === b.collation.name || b.collation.isDefault) return a;
  return a.collation.isDefault ? b : { strength: 'conflict' };
}

/** `known`: as it is. `unknown`: it cannot be said. Else why it is refused, with the cure. */
export function judgeTexts(
  rule: TextRule,
  derived: Derived,
): 'known' | 'unknown' | { readonly refused: string } {
  if (derived.strength === 'conflict')
    return {
      refused: 'the collation is not clear here, two columns have different ones; say which: COLLATE "C"',
    };
  if (derived.strength === 'none') return 'known';
  const { facts, name } = derived.collation;
  if (facts === undefined) return 'unknown';
  switch (rule) {
    case 'equal':
      return facts.isDeterministic
        ? 'known'
        : { refused: `the collation "${name}" is not deterministic; ${CURE}` };
    case 'order':
      return facts.isByteOrder
        ? 'known'
        : { refused: `the order of texts under the collation "${name}" is the server's own; ${CURE}` };
    case 'letters':
      if (!facts.isDeterministic) return { refused: `the collation "${name}" is not deterministic; ${CURE}` };
      return facts.letters === 'own'
        ? { refused: `the letters of the collation "${name}" are the server's own; ${CURE}` }
        : 'known';
    default:
      return rule satisfies never;
  }
}

const CURE = 'write COLLATE "C" behind the text to compare by bytes';

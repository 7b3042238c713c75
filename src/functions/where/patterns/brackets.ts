// A bracket of a regular expression: characters, ranges of them by code point, classes. Pure.
// https://www.postgresql.org/docs/current/functions-matching.html#POSIX-BRACKET-EXPRESSIONS
import { escapeAt, type FaultAt } from './escapes.ts';
import type { CodeRange } from '../letters/letters.ts';
import { CLASSES, type CharacterSet } from './pattern.ts';

type Bracket = {
  readonly set: CharacterSet;
  /** Behind it. */
  readonly end: number;
  readonly hasClasses: boolean;
};

type Item = { readonly end: number } & (
  | { readonly kind: 'character'; readonly codePoint: number }
  | { readonly kind: 'class'; readonly ranges: readonly CodeRange[] }
);

/** `start`: of the bracket. */
export function parseBracket(characters: readonly string[], start: number, fault: FaultAt): Bracket {
  const negated = characters[start + 1] === '^';
  const first = start + (negated ? 2 : 1);
  const ranges: CodeRange[] = [];
  let hasClasses = false;
  let at = first;
  // The first one is no end.
  while (at === first || characters[at] !== ']') {
    if (characters[at] === undefined) throw fault('a [ without its ]', start);
    if (isRangeSign(characters, at, first)) throw fault('a range without its beginning', at);
    const item = itemAt(characters, at, fault);
    at = item.end;
    if (item.kind === 'class') {
      ranges.push(...item.ranges);
      hasClasses = true;
    } else if (isRangeSign(characters, at, first)) {
      const last = itemAt(characters, at + 1, fault);
      if (last.kind === 'class' || last.codePoint < item.codePoint)
        throw fault('a range ends before it begins', at);
      ranges.push([item.codePoint, last.codePoint]);
      at = last.end;
    } else ranges.push([item.codePoint, item.codePoint]);
  }
  return { set: { ranges, negated }, end: at + 1, hasClasses };
}

/** At the start and the end a minus is one. */
const isRangeSign = (characters: readonly string[], at: number, first: number): boolean =>
  characters[at] === '-' && at !== first && characters[at + 1] !== ']';

function itemAt(characters: readonly string[], at: number, fault: FaultAt): Item {
  const [character, next = ''] = characters.slice(at, at + 2);
  if (character === undefined) throw fault('a [ without its ]', at);
  if (character === '\\') {
    const found = escapeAt(characters, at, fault);
    if (found.kind === 'character' || (found.kind === 'class' && !found.negated)) return found;
    throw fault(`\\${next} cannot stand in a bracket`, at);
  }
  if (character === '[' && (next === '.' || next === '='))
    throw fault(`characters that are equal for a language ([${next}) are not taken`, at);
  if (character === '[' && next === ':') return namedClass(characters, at, fault);
  return { kind: 'character', codePoint: character.codePointAt(0)!, end: at + 1 };
}

function namedClass(characters: readonly string[], at: number, fault: FaultAt): Item {
  const [, name = ''] = /^\[:([^:\]]*):\]/.exec(characters.slice(at).join('')) ?? [];
  if (name === '<' || name === '>')
    throw fault(`[[:${name}:]] is not taken; \\y is where a word begins or ends`, at);
  if (!Object.hasOwn(CLASSES, name)) {
    const known = Object.keys(CLASSES).join(', ');
    throw fault(`a class of characters that each server has for itself; known are ${known}`, at);
  }
  return { kind: 'class', ranges: CLASSES[name]!, end: at + name.length + 4 };
}

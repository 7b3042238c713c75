// Small and capital letters, as far as it is known what the server makes of them. Pure.
// https://www.postgresql.org/docs/current/collation.html

import type { CaseTable } from '../../../core/change.ts';
import { readRuns, type CaseMap } from './runs.ts';
import { LOWER, UPPER } from './unicode.ts';

/** From and to, in code points. */
export type CodeRange = readonly [number, number];

/** Undefined: it is not known. */
export type Letters = {
  lower(text: string): string | undefined;
  upper(text: string): string | undefined;
  /** Is it known of every character of the text what it is? */
  knowsClasses(text: string): boolean;
  /** These characters and those that differ in case only. */
  formsOf(range: CodeRange): readonly CodeRange[];
  /** Are the forms of all these characters known? */
  knowsForms(range: CodeRange): boolean;
};

const NON_ASCII = /[^\0-\x7f]/;
export const isAscii = (text: string): boolean => !NON_ASCII.test(text);
const MAX_ASCII = 0x7f;

const lowerAscii = (text: string): string => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
const upperAscii = (text: string): string => text.replace(/[a-z]+/g, (letters) => letters.toUpperCase());

const CASE_DISTANCE = 0x20;
const SMALL: CodeRange = [0x61, 0x7a];
const CAPITAL: CodeRange = [0x41, 0x5a];

function formsInAscii([from, to]: CodeRange): readonly CodeRange[] {
  const moved = ([first, last]: CodeRange, by: number): CodeRange[] => {
    const [low, high] = [Math.max(from, first), Math.min(to, last)];
    return low > high ? [] : [[low + by, high + by]];
  };
  return [[from, to], ...moved(SMALL, -CASE_DISTANCE), ...moved(CAPITAL, CASE_DISTANCE)];
}

/** Under "C": letters beyond ASCII are none. */
export const C_LETTERS: Letters = {
  lower: lowerAscii,
  upper: upperAscii,
  knowsClasses: () => true,
  formsOf: formsInAscii,
  knowsForms: () => true,
};

/** These are spaces for one library, and none for another one. */
const SEPARATORS = ['\x1c', '\x1d', '\x1e', '\x1f'];

const knowsAsciiClasses = (text: string): boolean =>
  isAscii(text) && !SEPARATORS.some((separator) => text.includes(separator));

/** Of all other collations: beyond ASCII the server's library decides. */
export const ASCII_LETTERS: Letters = {
  lower: (text) => (isAscii(text) ? lowerAscii(text) : undefined),
  upper: (text) => (isAscii(text) ? upperAscii(text) : undefined),
  knowsClasses: knowsAsciiClasses,
  formsOf: formsInAscii,
  knowsForms: ([, to]) => to <= MAX_ASCII,
};

/** Letters beyond ASCII lie here: what comes behind are signs of Chinese, and nothing yet. */
export const FIRST_LETTER = 0x80;
export const LAST_LETTER = 0x3ffff;

const known = new WeakMap<CaseTable, Letters>();

/** Of libraries that map each character by itself, as the server's table has it. */
export function tableLetters(table: CaseTable): Letters {
  const letters = known.get(table) ?? lettersIn(table);
  known.set(table, letters);
  return letters;
}

function lettersIn({ lower, upper }: CaseTable): Letters {
  const toLower = mapOf(lower, LOWER);
  const toUpper = mapOf(upper, UPPER);
  const mapped = (text: string, map: CaseMap): string =>
    Array.from(text, (character) => {
      const to = map.get(character.codePointAt(0)!);
      return to === undefined ? character : String.fromCodePoint(to);
    }).join('');
  const formsOf = ([from, to]: CodeRange): readonly CodeRange[] => {
    const found = [...formsInAscii([from, to])];
    for (const map of [toLower, toUpper])
      for (const [code, other] of map) if (code >= from && code <= to) found.push([other, other]);
    return found;
  };
  return {
    lower: (text) => (isAscii(text) ? lowerAscii(text) : mapped(lowerAscii(text), toLower)),
    upper: (text) => (isAscii(text) ? upperAscii(text) : mapped(upperAscii(text), toUpper)),
    knowsClasses: knowsAsciiClasses,
    formsOf,
    knowsForms: () => true,
  };
}

const mapOf = (differing: string, base: string): CaseMap =>
  new Map([...readRuns(base), ...readRuns(differing)]);

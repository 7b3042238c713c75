// What stands behind a backslash in a regular expression of Postgres. Pure.
// https://www.postgresql.org/docs/current/functions-matching.html#POSIX-ESCAPE-SEQUENCES
import type { CodeRange } from '../letters/letters.ts';
import { ESCAPED_CLASSES, type PatternFault } from './pattern.ts';

export type Escape = { readonly end: number } & (
  | { readonly kind: 'character'; readonly codePoint: number }
  | { readonly kind: 'class'; readonly ranges: readonly CodeRange[]; readonly negated: boolean }
  | { readonly kind: 'start' | 'end' | 'boundary' | 'no-boundary' }
);

export type FaultAt = (what: string, at: number) => PatternFault;

const CHARACTERS: Readonly<Record<string, number>> = {
  a: 0x07,
  e: 0x1b,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
  v: 0x0b,
};
const ANCHORS = { A: 'start', Z: 'end', y: 'boundary', Y: 'no-boundary' } as const;

const REFUSED: Readonly<Record<string, string>> = {
  b: 'a backspace (\\b) is not taken; the boundary of a word is \\y',
  B: 'a backslash as \\B is not taken; write \\\\',
  c: 'a control character (\\c) is not taken',
  m: 'the beginning of a word (\\m) is not taken; \\y is where one begins or ends',
  M: 'the end of a word (\\M) is not taken; \\y is where one begins or ends',
  U: 'a character by eight digits (\\U) is not taken; write it as it is',
  x: 'a character by its digits (\\x) is not taken; write it as it is, or \\u and four digits',
};

/** `at`: of the backslash. */
export function escapeAt(characters: readonly string[], at: number, fault: FaultAt): Escape {
  const letter = characters[at + 1];
  const end = at + 2;
  if (letter === undefined) throw fault('the pattern ends with a backslash', at);
  if (!/^[a-z0-9]$/i.test(letter)) return { kind: 'character', codePoint: letter.codePointAt(0)!, end };
  if (Object.hasOwn(CHARACTERS, letter)) return { kind: 'character', codePoint: CHARACTERS[letter]!, end };
  if (Object.hasOwn(ANCHORS, letter)) return { kind: ANCHORS[letter as keyof typeof ANCHORS], end };
  const small = letter.toLowerCase();
  if (Object.hasOwn(ESCAPED_CLASSES, small))
    return { kind: 'class', ranges: ESCAPED_CLASSES[small]!, negated: letter !== small, end };
  if (letter === 'u') return byDigits(characters, at, fault);
  if (/^\d$/.test(letter)) throw fault(`a back reference or an octal number (\\${letter}) is not taken`, at);
  throw fault(REFUSED[letter] ?? `\\${letter} means nothing`, at);
}

function byDigits(characters: readonly string[], at: number, fault: FaultAt): Escape {
  const digits = characters.slice(at + 2, at + 6).join('');
  const codePoint = Number.parseInt(digits, 16);
  if (!/^[0-9a-f]{4}$/i.test(digits) || codePoint === 0 || (codePoint >= 0xd800 && codePoint <= 0xdfff))
    throw fault('\\u is followed by four digits, of a character', at);
  return { kind: 'character', codePoint, end: at + 6 };
}

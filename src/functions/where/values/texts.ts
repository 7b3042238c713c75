// Texts as Postgres compares, cuts and matches them: by characters (code points) and, in order, by the bytes of UTF-8. Pure.
// https://www.postgresql.org/docs/current/functions-string.html
import { EvaluationError } from './failure.ts';

const SURROGATES = /[\ud800-\udfff]/;

/** The order of the bytes of UTF-8, which is that of code points. UTF-16 has the surrogates out of it. */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x === y) continue;
    const [isHighX, isHighY] = [x >= 0xd800 && x <= 0xdfff, y >= 0xd800 && y <= 0xdfff];
    if (isHighX !== isHighY) return isHighX ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

/** In code points. */
export function characterCount(text: string): number {
  if (!SURROGATES.test(text)) return text.length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** Each is one character. Most texts are cut as they are. */
export const charactersOf = (text: string): string | readonly string[] =>
  SURROGATES.test(text) ? Array.from(text) : text;

/** Characters from `start` (0 the first), before `end`. */
export function slice(text: string, start: number, end?: number): string {
  const characters = charactersOf(text);
  const part = characters.slice(Math.max(0, start), end === undefined ? undefined : Math.max(0, end));
  return typeof part === 'string' ? part : part.join('');
}

/** `char(n)`: blanks at the end do not count. */
export const withoutBlanks = (text: string): string => text.replace(/ +$/, '');

/** `LIKE` with `\` as its escape, as the server matches it: an escape at the end is an error if it is come to. */
export function like(text: string, pattern: string): boolean {
  return matchLike(text, pattern) === 'match';
}

type Match = 'match' | 'none' | 'abort';

/** https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/like_match.c */
function matchLike(text: string, pattern: string, t = 0, p = 0): Match {
  if (pattern === '%' && p === 0) return 'match';
  while (t < text.length && p < pattern.length) {
    const wanted = pattern[p]!;
    if (wanted === '\\') {
      p++;
      if (p >= pattern.length) throw new EvaluationError('22025');
      if (pattern[p] !== text[t]) return 'none';
    } else if (wanted === '%') return matchAfterPercent(text, pattern, t, p + 1);
    else if (wanted === '_') {
      t += characterLength(text, t);
      p++;
      continue;
    } else if (wanted !== text[t]) return 'none';
    t++;
    p++;
  }
  if (t < text.length) return 'none';
  while (p < pattern.length && pattern[p] === '%') p++;
  return p >= pattern.length ? 'match' : 'abort';
}

function matchAfterPercent(text: string, pattern: string, from: number, rest: number): Match {
  let t = from;
  let p = rest;
  while (p < pattern.length && (pattern[p] === '%' || pattern[p] === '_')) {
    if (pattern[p] === '_') {
      if (t >= text.length) return 'abort';
      t += characterLength(text, t);
    }
    p++;
  }
  if (p >= pattern.length) return 'match';
  if (pattern[p] === '\\' && p + 1 >= pattern.length) throw new EvaluationError('22025');
  const first = pattern[p] === '\\' ? pattern[p + 1] : pattern[p];
  for (; t < text.length; t += characterLength(text, t)) {
    if (text[t] !== first) continue;
    const found = matchLike(text, pattern, t, p);
    if (found !== 'none') return found;
  }
  return 'abort';
}

const characterLength = (text: string, at: number): number => {
  const unit = text.charCodeAt(at);
  return unit >= 0xd800 && unit <= 0xdbff ? 2 : 1;
};

/** `LIKE … ESCAPE e`: the pattern with `\` in its place. */
export function likeEscape(pattern: string, escape: string): string {
  if (escape === '') return pattern.replaceAll('\\', '\\\\');
  if (characterCount(escape) !== 1) throw new EvaluationError('22025');
  if (escape === '\\') return pattern;
  let written = '';
  let isAfterEscape = false;
  for (const character of pattern) {
    if (character === escape && !isAfterEscape) {
      written += '\\';
      isAfterEscape = true;
    } else if (character === '\\') {
      written += '\\';
      if (!isAfterEscape) written += '\\';
      isAfterEscape = false;
    } else {
      written += character;
      isAfterEscape = false;
    }
  }
  return written;
}

/** `trim`: characters of this set, at the start and at the end. */
export function trim(text: string, set: string, sides: 'both' | 'start' | 'end'): string {
  const characters = Array.from(text);
  const wanted = new Set(set);
  let start = 0;
  let end = characters.length;
  if (sides !== 'end') while (start < end && wanted.has(characters[start]!)) start++;
  if (sides !== 'start') while (end > start && wanted.has(characters[end - 1]!)) end--;
  return characters.slice(start, end).join('');
}

/** The nth part (from 1; from the end where it is negative) between the separators. */
export function splitPart(text: string, separator: string, index: number): string {
  if (index === 0) throw new EvaluationError('22023');
  if (separator === '') return index === 1 || index === -1 ? text : '';
  const parts = text.split(separator);
  return (index > 0 ? parts[index - 1] : parts.at(index)) ?? '';
}

/** From 1; 0: it is not there. */
export function positionOf(text: string, wanted: string): number {
  const at = text.indexOf(wanted);
  return at === -1 ? 0 : characterCount(text.slice(0, at)) + 1;
}

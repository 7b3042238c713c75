// SIMILAR TO: the regular expression that a pattern of SQL's standard is made. Pure.
// https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/regexp.c
import { characterCount } from '../values/texts.ts';
import { EvaluationError } from '../values/failure.ts';

/** As `similar_to_escape`. `escape` empty: there is none. Throws EvaluationError. */
export function similarPattern(pattern: string, escape: string): string {
  if (characterCount(escape) > 1) throw new EvaluationError('22019');
  const characters = Array.from(pattern);
  let written = '';
  for (let i = 0; i < characters.length;) {
    const character = characters[i]!;
    if (character === escape) {
      const next = characters[i + 1];
      // What separates the parts of a substring: of no use here.
      if (next === '"') throw new EvaluationError('0A000');
      written += next === undefined ? '' : `\\${next}`;
      i += 2;
    } else if (character === '[') {
      const end = bracketEnd(characters, i);
      written += bracket(characters.slice(i, end), escape);
      i = end;
    } else {
      written += MEANINGS[character] ?? character;
      i++;
    }
  }
  return `^(?:${written})$`;
}

const MEANINGS: Readonly<Record<string, string>> = {
  '%': '.*',
  _: '.',
  '(': '(?:',
  '\\': '\\\\',
  '.': '\\.',
  '^': '\\^',
  $: '\\$',
};

/** Behind the bracket that begins here, classes inside of it included; without an end: behind all. */
function bracketEnd(characters: readonly string[], start: number): number {
  let at = start + 1;
  if (characters[at] === '^') at++;
  if (characters[at] === ']') at++;
  let isInClass = false;
  for (; at < characters.length; at++) {
    if (isInClass) isInClass = !(characters[at] === ':' && characters[at + 1] === ']' && ++at > 0);
    else if (characters[at] === '[' && characters[at + 1] === ':') isInClass = true;
    else if (characters[at] === ']') return at + 1;
  }
  return characters.length;
}

/** Where a bracket has another one's end in it, versions differ in what stands behind that. */
function bracket(characters: readonly string[], escape: string): string {
  const inner = characters.slice(1, -1);
  const end = inner.indexOf(']');
  if (end !== -1 && inner.slice(end).some((one) => one === escape || Object.hasOwn(MEANINGS, one)))
    throw new EvaluationError('0A000');
  if (inner.includes(escape)) throw new EvaluationError('0A000');
  return characters.map((one) => (one === '\\' ? '\\\\' : one)).join('');
}

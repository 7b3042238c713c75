// json: a document as it was written, spaces and doubled keys included; what a path finds in it is a part of that text. Pure.
// https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/jsonfuncs.c
import { EvaluationError, malformedText } from './failure.ts';

/** A key of an object, a place in an array, or both. */
export type JsonStep = { readonly key?: string; readonly place?: number };

/** `string`, `null`, or something else. */
type Part = { readonly start: number; readonly end: number };

/** The part as it was written; undefined: there is none. Throws EvaluationError where a character of the document is none for the server. */
export function jsonAtPath(document: string, path: readonly JsonStep[]): string | undefined {
  const found = new Finder(document, path).find();
  return found && document.slice(found.start, found.end);
}

/** As a text: what a string says; of `null` NULL. */
export function jsonTextOf(part: string | undefined): string | null {
  const token = part?.trimStart();
  if (part === undefined || token === 'null') return null;
  return token!.startsWith('"') ? unescaped(token!) : part;
}

/** A number that it could be read as is a place, too. */
export function stepOf(text: string): JsonStep {
  const place = /^[ \t\n\v\f\r]*[+-]?\d+$/.test(text) ? Number(text) : NaN;
  return Math.abs(place) <= MAX_PLACE ? { key: text, place } : { key: text };
}

const MAX_PLACE = 2_147_483_647;

const TYPES: Readonly<Record<string, string>> = {
  '{': 'object', '[': 'array', '"': 'string', t: 'boolean', f: 'boolean', n: 'null',
}; // prettier-ignore

export const jsonTypeOf = (document: string): string => TYPES[document.trimStart()[0]!] ?? 'number';

export function jsonArrayLength(document: string): number {
  if (jsonTypeOf(document) !== 'array') throw new EvaluationError('22023');
  return countItems(document, document.indexOf('['));
}

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\]|\\[^])*"/y;
const WORD = /[^ \t\n\r,\]}]*/y;

function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return at + pattern.exec(text)![0].length;
}

function unescaped(token: string): string {
  if (!token.includes('\\')) return token.slice(1, -1);
  const text = JSON.parse(token) as string;
  if (text.includes('\0')) throw new EvaluationError('22P05');
  if (!text.isWellFormed()) throw malformedText();
  return text;
}

/** Of the array that begins there. */
function countItems(text: string, start: number): number {
  let depth = 0;
  let commas = 0;
  let hasItem = false;
  for (let at = start + 1; ;) {
    const character = text[at]!;
    if (character === '"') at = endOf(STRING, text, at);
    else {
      if (character === ']' && depth === 0) return hasItem ? commas + 1 : 0;
      if (character === '[' || character === '{') depth++;
      else if (character === ']' || character === '}') depth--;
      else if (character === ',' && depth === 0) commas++;
      at++;
    }
    hasItem ||= !' \t\n\r'.includes(character);
  }
}

/** Goes through the whole document, as the server does: of doubled keys the last one counts, but on the way to it each. */
class Finder {
  readonly #text: string;
  readonly #keys: readonly (string | undefined)[];
  readonly #places: (number | undefined)[];
  #at = 0;
  #found: Part | undefined;

  constructor(text: string, path: readonly JsonStep[]) {
    this.#text = text;
    this.#keys = path.map(({ key }) => key);
    this.#places = path.map(({ place }) => place);
  }

  find(): Part | undefined {
    const whole = this.#value(0, true);
    if (this.#keys.length > 0) return this.#found;
    // Spaces before what is no object or array belong to it.
    return '{['.includes(this.#text[whole.start]!) ? whole : { ...whole, start: 0 };
  }

  #value(level: number, isOnPath: boolean): Part {
    this.#skipSpace();
    const start = this.#at;
    const character = this.#text[start];
    if (character === '{') this.#object(level, isOnPath);
    else if (character === '[') this.#array(level, isOnPath);
    else if (character === '"') this.#string();
    else this.#at = endOf(WORD, this.#text, start);
    return { start, end: this.#at };
  }

  #object(level: number, isOnPath: boolean): void {
    for (this.#at++; !this.#takeEnd('}'); this.#take(',')) {
      this.#skipSpace();
      const key = this.#string();
      this.#take(':');
      this.#member(level, isOnPath && this.#keys[level] === key);
    }
  }

  #array(level: number, isOnPath: boolean): void {
    const wanted = this.#places[level];
    // A place from the end is counted in the first array of that level, whether it is on the path or not.
    if (wanted !== undefined && wanted < 0) {
      const count = countItems(this.#text, this.#at);
      if (-wanted <= count) this.#places[level] = wanted + count;
    }
    this.#at++;
    for (let place = 0; !this.#takeEnd(']'); place++, this.#take(','))
      this.#member(level, isOnPath && this.#places[level] === place);
  }

  #member(level: number, isWanted: boolean): void {
    const isLast = level === this.#keys.length - 1;
    const part = this.#value(level + 1, isWanted && !isLast);
    if (isWanted && isLast) this.#found = part;
  }

  #string(): string {
    const start = this.#at;
    this.#at = endOf(STRING, this.#text, start);
    return unescaped(this.#text.slice(start, this.#at));
  }

  #skipSpace(): void {
    this.#at = endOf(SPACE, this.#text, this.#at);
  }
  #take(character: string): void {
    this.#skipSpace();
    if (this.#text[this.#at] === character) this.#at++;
  }
  #takeEnd(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }
}

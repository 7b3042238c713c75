// Arrays as Postgres writes them, to and from text: only the blanks of ASCII are blanks there. Pure.
// https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
import { EvaluationError, malformedText } from './failure.ts';
import { trimSpace } from './numeric.ts';
import type { SqlArray, Value } from './value.ts';

export const MAX_DIMENSIONS = 6;
const BOUNDS = /^((?:\[[+-]?\d+(?::[+-]?\d+)?\])+)[ \t\n\v\f\r]*=[ \t\n\v\f\r]*/;

/** Throws EvaluationError where it is no array. */
export function parseArray(text: string, parseElement: (text: string) => Value): SqlArray {
  const trimmed = trimSpace(text);
  const [prefix = '', bounds = ''] = BOUNDS.exec(trimmed) ?? [];
  const lowerBounds = [...bounds.matchAll(/\[([+-]?\d+)(?::([+-]?\d+))?\]/g)].map(([, low, high]) =>
    high === undefined ? 1 : Number(low),
  );
  const reader = new ArrayReader(trimmed.slice(prefix.length), parseElement);
  const { elements, dimensions } = reader.read();
  if (bounds !== '' && lowerBounds.length !== dimensions.length) throw malformedText();
  return { elements, dimensions, lowerBounds: bounds === '' ? dimensions.map(() => 1) : lowerBounds };
}

class ArrayReader {
  readonly #text: string;
  readonly #parseElement: (text: string) => Value;
  #at = 0;
  readonly #elements: (Value | null)[] = [];
  readonly #dimensions: number[] = [];

  constructor(text: string, parseElement: (text: string) => Value) {
    this.#text = text;
    this.#parseElement = parseElement;
  }

  read(): Pick<SqlArray, 'elements' | 'dimensions'> {
    const isEmpty = this.#level(0);
    if (this.#at !== this.#text.length) throw malformedText();
    return { elements: this.#elements, dimensions: isEmpty ? [] : this.#dimensions };
  }

  /** Is there nothing in it? */
  #level(depth: number): boolean {
    if (depth >= MAX_DIMENSIONS) throw malformedText();
    this.#expect('{');
    this.#skipSpace();
    let count = 0;
    let hasValues = false;
    if (this.#text[this.#at] === '}') {
      this.#at++;
      this.#skipSpace();
      if (depth > 0) throw malformedText();
      return true;
    }
    for (;;) {
      this.#skipSpace();
      if (this.#text[this.#at] === '{') {
        if (hasValues) throw malformedText();
        this.#level(depth + 1);
      } else {
        hasValues = true;
        if (this.#dimensions.length > depth + 1) throw malformedText();
        this.#elements.push(this.#element());
      }
      count++;
      this.#skipSpace();
      if (this.#text[this.#at] === ',') this.#at++;
      else break;
    }
    this.#expect('}');
    this.#skipSpace();
    const known = this.#dimensions[depth];
    if (known !== undefined && known !== count) throw malformedText();
    this.#dimensions[depth] = count;
    return false;
  }

  #element(): Value | null {
    if (this.#text[this.#at] === '"') {
      let text = '';
      for (this.#at++; this.#text[this.#at] !== '"'; this.#at++) {
        if (this.#text[this.#at] === '\\') this.#at++;
        if (this.#at >= this.#text.length) throw malformedText();
        text += this.#text[this.#at];
      }
      this.#at++;
      return this.#parseElement(text);
    }
    const token = /^(?:[^{},"\\]|\\[^])*/.exec(this.#text.slice(this.#at))![0];
    this.#at += token.length;
    const text = token.replace(/[ \t\n\v\f\r]+$/, '').replace(/\\([^])/g, '$1');
    if (text === '') throw malformedText();
    return text.toLowerCase() === 'null' && !token.includes('\\') ? null : this.#parseElement(text);
  }

  #skipSpace(): void {
    while (/[ \t\n\v\f\r]/.test(this.#text[this.#at] ?? 'x')) this.#at++;
  }
  #expect(character: string): void {
    if (this.#text[this.#at++] !== character) throw malformedText();
  }
}

const NEEDS_QUOTES = /[{},"\\ \t\n\v\f\r]/;

export function formatArray(array: SqlArray, formatElement: (value: Value) => string): string {
  const { elements, dimensions, lowerBounds } = array;
  if (dimensions.length === 0) return '{}';
  let next = 0;
  const level = (depth: number): string => {
    const parts = Array.from({ length: dimensions[depth]! }, () =>
      depth + 1 < dimensions.length ? level(depth + 1) : element(elements[next++]!),
    );
    return `{${parts.join(',')}}`;
  };
  const element = (value: Value | null): string => {
    if (value === null) return 'NULL';
    const text = formatElement(value);
    const isPlain = text !== '' && text.toLowerCase() !== 'null' && !NEEDS_QUOTES.test(text);
    return isPlain ? text : `"${text.replace(/["\\]/g, '\\$&')}"`;
  };
  const isUsual = lowerBounds.every((bound) => bound === 1);
  const bounds = lowerBounds.map((low, i) => `[${low}:${low + dimensions[i]! - 1}]`).join('');
  return `${isUsual ? '' : `${bounds}=`}${level(0)}`;
}

/** An array of one dimension, its first element being number 1; of arrays, one of a dimension more. */
export function listOf(elements: readonly (Value | null)[]): SqlArray {
  const dimensions = elements.length === 0 ? [] : [elements.length];
  return { elements, dimensions, lowerBounds: dimensions.map(() => 1) };
}

type IsEqual = (a: Value, b: Value) => boolean;

/** NULLs are equal here. */
export function equalArrays(a: SqlArray, b: SqlArray, isEqual: IsEqual): boolean {
  const isSameShape =
    a.dimensions.length === b.dimensions.length &&
    a.dimensions.every((size, i) => size === b.dimensions[i] && a.lowerBounds[i] === b.lowerBounds[i]);
  return (
    isSameShape &&
    a.elements.every((element, i) => {
      const other = b.elements[i]!;
      return element === null || other === null ? element === other : isEqual(element, other);
    })
  );
}

/** Is each element of `b` one of `a`'s? NULL is none, whatever is in the other. */
export const containsArray = (a: SqlArray, b: SqlArray, isEqual: IsEqual): boolean =>
  b.elements.every(
    (wanted) => wanted !== null && a.elements.some((element) => element !== null && isEqual(element, wanted)),
  );

/** Have they an element in common? NULL is none. */
export const overlapArrays = (a: SqlArray, b: SqlArray, isEqual: IsEqual): boolean =>
  a.elements.some((one) => one !== null && b.elements.some((other) => other !== null && isEqual(one, other)));

/** NULL: there is none, or it is one of an array's own arrays. */
export function elementAt(
  { elements, dimensions, lowerBounds }: SqlArray,
  indexes: readonly number[],
): Value | null {
  if (indexes.length !== dimensions.length) return null;
  let offset = 0;
  for (const [i, index] of indexes.entries()) {
    const place = index - lowerBounds[i]!;
    if (place < 0 || place >= dimensions[i]!) return null;
    offset = offset * dimensions[i]! + place;
  }
  return elements[offset]!;
}

export const arrayLength = ({ dimensions }: SqlArray, dimension: number): number | null =>
  dimensions[dimension - 1] ?? null;

/** A text too long for the server's own limits. */
export const tooLong = (): EvaluationError => new EvaluationError('54000');

// jsonb: documents whose numbers are exact, compared and written as Postgres does it. Pure.
// https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/jsonb_util.c
import { compareUtf8 } from './texts.ts';
import { compareNumerics, formatNumeric, parseNumeric, type Numeric } from './numeric.ts';

export type Jsonb =
  | { readonly kind: 'null' }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly number: Numeric }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'array'; readonly items: readonly Jsonb[] }
  /** By key, in jsonb's own order: shorter keys first, then by their bytes. */
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, Jsonb> };

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const SPACE = /[ \t\n\r]*/y;
const PLAIN_STRING = /"[^"\\\p{Cc}]*"/uy;

/** Undefined: the text is no JSON document (or one that jsonb does not take). */
export function parseJsonb(text: string): Jsonb | undefined {
  try {
    return new Reader(text).document();
  } catch (error) {
    if (error instanceof NoJson) return undefined;
    throw error;
  }
}

class NoJson extends Error {}

/** Deeper than the server's own stack lets a document be. */
const MAX_DEPTH = 6000;

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Jsonb {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at !== this.#text.length) throw new NoJson();
    return value;
  }

  #value(depth: number): Jsonb {
    if (depth > MAX_DEPTH) throw new NoJson();
    this.#skipSpace();
    const character = this.#text[this.#at];
    switch (character) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return { kind: 'text', text: this.#string() };
      case 't':
        return this.#word('true', { kind: 'boolean', value: true });
      case 'f':
        return this.#word('false', { kind: 'boolean', value: false });
      case 'n':
        return this.#word('null', { kind: 'null' });
      case undefined:
        throw new NoJson();
      default:
        return { kind: 'number', number: parseNumeric(this.#match(NUMBER)) };
    }
  }

  #object(depth: number): Jsonb {
    const members = new Map<string, Jsonb>();
    this.#at++;
    this.#skipSpace();
    if (this.#text[this.#at] !== '}') {
      do {
        this.#skipSpace();
        const key = this.#string();
        this.#skipSpace();
        this.#expect(':');
        members.set(key, this.#value(depth + 1));
        this.#skipSpace();
      } while (this.#take(','));
    }
    this.#expect('}');
    return { kind: 'object', members: new Map([...members].sort(([a], [b]) => compareKeys(a, b))) };
  }

  #array(depth: number): Jsonb {
    const items: Jsonb[] = [];
    this.#at++;
    this.#skipSpace();
    if (this.#text[this.#at] !== ']') {
      do {
        items.push(this.#value(depth + 1));
        this.#skipSpace();
      } while (this.#take(','));
    }
    this.#expect(']');
    return { kind: 'array', items };
  }

  #string(): string {
    if (this.#text[this.#at] !== '"') throw new NoJson();
    PLAIN_STRING.lastIndex = this.#at;
    const plain = PLAIN_STRING.exec(this.#text)?.[0];
    if (plain !== undefined) {
      this.#at += plain.length;
      return plain.slice(1, -1);
    }
    let end = this.#at + 1;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === '\\' ? 2 : 1;
    const token = this.#text.slice(this.#at, end + 1);
    this.#at = end + 1;
    let text: unknown;
    try {
      text = JSON.parse(token);
    } catch {
      throw new NoJson();
    }
    if (typeof text !== 'string' || text.includes('\0') || !text.isWellFormed()) throw new NoJson();
    return text;
  }

  #word(word: string, value: Jsonb): Jsonb {
    if (!this.#text.startsWith(word, this.#at)) throw new NoJson();
    this.#at += word.length;
    return value;
  }
  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) throw new NoJson();
    this.#at += found.length;
    return found;
  }
  #skipSpace(): void {
    SPACE.lastIndex = this.#at;
    this.#at += SPACE.exec(this.#text)![0].length;
  }
  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }
  #expect(character: string): void {
    if (!this.#take(character)) throw new NoJson();
  }
}

const compareKeys = (a: string, b: string): number =>
  Buffer.byteLength(a) - Buffer.byteLength(b) || compareUtf8(a, b);

export function formatJsonb(value: Jsonb): string {
  switch (value.kind) {
    case 'null':
      return 'null';
    case 'text':
      return quoted(value.text);
    case 'number':
      return formatNumeric(value.number);
    case 'boolean':
      return String(value.value);
    case 'array':
      return `[${value.items.map(formatJsonb).join(', ')}]`;
    case 'object':
      return `{${[...value.members].map(([key, member]) => `${quoted(key)}: ${formatJsonb(member)}`).join(', ')}}`;
    default:
      return value satisfies never;
  }
}

/** As JSON.stringify, whose escapes of control characters are Postgres' own. */
const quoted = (text: string): string => JSON.stringify(text);

/** Object > array > boolean > number > text > null; an empty array is less than everything. */
export function compareJsonb(a: Jsonb, b: Jsonb): number {
  // On the top a scalar is an array of one element, but with a flag: an array proper is larger.
  return compareValues(a, b, true);
}

function compareValues(a: Jsonb, b: Jsonb, isTop: boolean): number {
  if (a.kind === 'object' && b.kind === 'object') return compareObjects(a.members, b.members);
  if (a.kind === 'array' && b.kind === 'array') return compareItems(a.items, b.items);
  if (a.kind === b.kind) return compareScalars(a, b);
  // An empty array on the top is less than all else: a scalar is an array of one element there.
  if (isTop && isEmptyArray(a) && b.kind !== 'object') return -1;
  if (isTop && isEmptyArray(b) && a.kind !== 'object') return 1;
  return RANKS[a.kind] - RANKS[b.kind];
}

const isEmptyArray = (value: Jsonb): boolean => value.kind === 'array' && value.items.length === 0;

const RANKS = { null: 0, text: 1, number: 2, boolean: 3, array: 4, object: 5 } as const;

function compareScalars(a: Jsonb, b: Jsonb): number {
  if (a.kind === 'text' && b.kind === 'text') return compareUtf8(a.text, b.text);
  if (a.kind === 'number' && b.kind === 'number') return compareNumerics(a.number, b.number);
  if (a.kind === 'boolean' && b.kind === 'boolean') return Number(a.value) - Number(b.value);
  return 0;
}

function compareItems(a: readonly Jsonb[], b: readonly Jsonb[]): number {
  if (a.length !== b.length) return a.length - b.length;
  for (const [i, item] of a.entries()) {
    const order = compareValues(item, b[i]!, false);
    if (order !== 0) return order;
  }
  return 0;
}

function compareObjects(a: ReadonlyMap<string, Jsonb>, b: ReadonlyMap<string, Jsonb>): number {
  if (a.size !== b.size) return a.size - b.size;
  const others = [...b];
  let i = 0;
  for (const [key, member] of a) {
    const [otherKey, other] = others[i++]!;
    // Keys are compared as texts here, whatever their order in the document.
    const order = compareUtf8(key, otherKey) || compareValues(member, other, false);
    if (order !== 0) return order;
  }
  return 0;
}

export const equalJsonb = (a: Jsonb, b: Jsonb): boolean => compareJsonb(a, b) === 0;

/** `a @> b`. https://www.postgresql.org/docs/current/datatype-json.html#JSON-CONTAINMENT */
export function containsJsonb(a: Jsonb, b: Jsonb): boolean {
  // An array may contain a primitive; on the top only.
  if (a.kind === 'array' && b.kind !== 'array' && b.kind !== 'object')
    return a.items.some((item) => equalJsonb(item, b));
  return contains(a, b);
}

function contains(a: Jsonb, b: Jsonb): boolean {
  if (a.kind === 'object' && b.kind === 'object') {
    for (const [key, member] of b.members) {
      const own = a.members.get(key);
      if (own === undefined || !contains(own, member)) return false;
    }
    return true;
  }
  if (a.kind === 'array' && b.kind === 'array')
    return b.items.every((wanted) => a.items.some((item) => contains(item, wanted)));
  return a.kind === b.kind && isScalar(a) && equalJsonb(a, b);
}

const isScalar = ({ kind }: Jsonb): boolean => kind !== 'array' && kind !== 'object';

/** `->` and `->>`: undefined, there is none. */
export function memberOf(value: Jsonb, key: string): Jsonb | undefined {
  return value.kind === 'object' ? value.members.get(key) : undefined;
}

/** Counted from the end where it is negative. A scalar is a list of itself here (but not in `atPath`). */
export function itemOf(value: Jsonb, index: number): Jsonb | undefined {
  if (value.kind === 'array') return value.items.at(index);
  return value.kind !== 'object' && (index === 0 || index === -1) ? value : undefined;
}

/** `#>`: undefined, there is none. A step into an array is a whole number. */
export function atPath(value: Jsonb, path: readonly string[]): Jsonb | undefined {
  let at: Jsonb | undefined = value;
  for (const step of path) {
    if (at === undefined) return undefined;
    if (at.kind === 'object') at = at.members.get(step);
    else if (at.kind === 'array') at = itemAt(at.items, step);
    else return undefined;
  }
  return at;
}

function itemAt(items: readonly Jsonb[], step: string): Jsonb | undefined {
  const index = /^[ \t\n\v\f\r]*[+-]?\d+$/.test(step) ? Number(step) : Number.NaN;
  return Number.isSafeInteger(index) && Math.abs(index) <= 2_147_483_648 ? items.at(index) : undefined;
}

/** `->>`: a text as it is, a null is SQL's. */
export const jsonbText = (value: Jsonb): string | null =>
  value.kind === 'null' ? null : value.kind === 'text' ? value.text : formatJsonb(value);

/** `?`: is there such a key, or such a text among the items? A text has itself. */
export function hasKey(value: Jsonb, key: string): boolean {
  if (value.kind === 'object') return value.members.has(key);
  if (value.kind === 'array') return value.items.some((item) => item.kind === 'text' && item.text === key);
  return value.kind === 'text' && value.text === key;
}

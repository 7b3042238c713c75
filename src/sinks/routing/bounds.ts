// What a value of the row may be where it stands in a route, and how it is written there: a row that anybody may write does not choose
// another host, account, path or header.

export type Bounds = {
  /** What is wrong with a value; undefined: nothing. */
  readonly faultOf: (value: string) => string | undefined;
  readonly write: (value: string) => string;
  /** The source of a regular expression for what was written. */
  readonly pattern: string;
};

const MAX_NAME = 64;
/** Of a value before it is encoded. */
const MAX_SEGMENT = 256;
const MAX_HEADER_VALUE = 1024;

/** Longer than any URL or ARN of a queue or topic. */
const MAX_WHOLE = 512;

const NAME = new RegExp(`^[A-Za-z0-9_-]{1,${MAX_NAME}}$`);

const name: Bounds = {
  faultOf: (value) =>
    NAME.test(value)
      ? undefined
      : `a name of at most ${MAX_NAME} letters, digits, hyphens and underscores is expected`,
  write: (value) => value,
  pattern: `[A-Za-z0-9_-]{1,${MAX_NAME}}`,
};

/** https://www.rfc-editor.org/rfc/rfc3986#section-3.3 */
const segment: Bounds = {
  faultOf(value) {
    if (value === '') return 'a segment of a path is not empty';
    // What a URL does with them is to go up. https://url.spec.whatwg.org/#double-dot-path-segment
    if (value === '.' || value === '..') return 'a segment of a path is neither . nor ..';
    // Half a character has no bytes that could be encoded.
    if (!value.isWellFormed()) return 'a segment is Unicode text';
    return value.length > MAX_SEGMENT ? `a segment has at most ${MAX_SEGMENT} characters` : undefined;
  },
  write: encodeURIComponent,
  pattern: `(?:[A-Za-z0-9._~!*'()-]|%[0-9A-F]{2})+`,
};

const header: Bounds = {
  faultOf(value) {
    if (value.length > MAX_HEADER_VALUE) return `a header takes at most ${MAX_HEADER_VALUE} characters of it`;
    return /^[\x20-\x7e]*$/.test(value) ? undefined : 'a header takes printable ASCII';
  },
  write: (value) => value,
  pattern: '[\\x20-\\x7e]*',
};

/** By their names in a field's `meta`. */
export const BOUNDS = { name, segment, header } as const;
export type BoundsName = keyof typeof BOUNDS;

/** Of a whole name that the row gives: a list or a pattern decides (`allowed`). */
export const ANYTHING: Bounds = {
  // A name has no #: behind it stands what is not shown (route-by-row.ts).
  faultOf: (value) =>
    value === '' || value.length > MAX_WHOLE || value.includes('#')
      ? 'this is no name, URL or ARN'
      : undefined,
  write: (value) => value,
  pattern: '[^]+',
};

/** A text as a part of a regular expression. */
export const escapePattern = (text: string): string =>
  text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, (each) => `\\${each}`);

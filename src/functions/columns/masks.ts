// Masked columns: what stands for their values wherever a value would leave the process. Pure; hot where a column is masked
// (bench/micro/render.ts).
import type { Literal } from '../../core/byte-writer.ts';
import { literal } from '../../core/encoding.ts';
import { constant, NULL_TYPE, STRING } from '../../core/json-type.ts';
import { jsonText, writeJsonStringPart } from '../../core/json.ts';
import type { MaskedText, TextOf } from '../../core/render.ts';
import { HEX_DIGITS } from '../../core/sha256.ts';
import { hmacWith, type WriteHmac } from './hmac.ts';
import type { ColumnRules, MaskRule } from './rules.ts';

/** What is hidden shows as this, however long it is. */
export const HIDDEN = '***';

export type Mask = MaskedText & {
  readonly rule: MaskRule;
  /** A text that is the same for the same value, and another one for another: its HMAC. Undefined: there is no key for it. */
  readonly digestOf: TextOf | undefined;
};

/** The masked columns of a table, by their names in Postgres. */
export type Masks = ReadonlyMap<string, Mask>;

export const NO_MASKS: Masks = new Map();

/** `key`: of the HMAC; where there is a mask `hash`, there is one. */
export function compileMasks(rules: Pick<ColumnRules, 'mask'> | undefined, key: string | undefined): Masks {
  if (rules === undefined || rules.mask.size === 0) return NO_MASKS;
  const write = key === undefined ? undefined : hmacWith(key);
  return new Map([...rules.mask].map(([column, rule]) => [column, compileMask(rule, write)]));
}

function compileMask(rule: MaskRule, write: WriteHmac | undefined): Mask {
  const digest = write && new Digest(write);
  const digestOf: TextOf | undefined = digest && ((bytes, start, length) => digest.of(bytes, start, length));
  switch (rule.kind) {
    case 'null':
      return {
        rule,
        digestOf,
        textOf: () => null,
        type: NULL_TYPE,
        render: (_, __, ___, writer) => writer.literal(NULL),
      };
    case 'redact':
      return {
        rule,
        digestOf,
        textOf: () => HIDDEN,
        type: constant(HIDDEN),
        render: (_, __, ___, writer) => writer.literal(HIDDEN_JSON),
      };
    case 'hash': {
      if (digestOf === undefined) throw new Error('a column is masked by its hash, and there is no key');
      return {
        rule,
        digestOf,
        textOf: digestOf,
        type: STRING,
        render: (bytes, start, length, writer) => writer.literal(digest!.json(bytes, start, length)),
      };
    }
    case 'last':
      return {
        rule,
        digestOf,
        textOf: (bytes, start, length) =>
          HIDDEN + bytes.toString('utf8', lastFrom(bytes, start, length, rule.count), start + length),
        type: STRING,
        render: (bytes, start, length, writer) => {
          const from = lastFrom(bytes, start, length, rule.count);
          writer.literal(HIDDEN_BEGINNING);
          writeJsonStringPart(bytes, from, start + length - from, writer);
          writer.byte(QUOTE);
        },
      };
    case 'email': {
      const textOf: TextOf = (bytes, start, length) => emailOf(bytes.toString('utf8', start, start + length));
      return {
        rule,
        digestOf,
        textOf,
        type: STRING,
        render: (bytes, start, length, writer) => writer.text(jsonText(textOf(bytes, start, length))),
      };
    }
    default:
      return rule satisfies never;
  }
}

const QUOTE = 0x22;
const NULL = literal('null', 'json');
const HIDDEN_JSON = literal(`"${HIDDEN}"`, 'json');
const HIDDEN_BEGINNING = literal(`"${HIDDEN}`, 'json');

/** Longer values are hashed each time. */
const MAX_KEPT_BYTES = 1024;

/** The HMAC of a column's values. One value is asked for in several places of a message: the last is kept. */
class Digest {
  readonly #write: WriteHmac;
  #kept = Buffer.alloc(0);
  /** -1: none is kept. */
  #length = -1;
  readonly #json: Literal = literal(`"${' '.repeat(HEX_DIGITS)}"`, 'json');
  #text: string | undefined;

  constructor(write: WriteHmac) {
    this.#write = write;
  }

  of(bytes: Buffer, start: number, length: number): string {
    const { bytes: json } = this.json(bytes, start, length);
    return (this.#text ??= json.toString('latin1', 1, json.length - 1));
  }

  /** As a JSON string, valid until the next value. */
  json(bytes: Buffer, start: number, length: number): Literal {
    if (this.#isKept(bytes, start, length)) return this.#json;
    this.#text = undefined;
    this.#write(bytes, start, length, this.#json.bytes, 1);
    this.#keep(bytes, start, length);
    return this.#json;
  }

  #isKept(bytes: Buffer, start: number, length: number): boolean {
    if (length !== this.#length) return false;
    const kept = this.#kept;
    for (let i = 0; i < length; i++) if (bytes[start + i] !== kept[i]) return false;
    return true;
  }

  #keep(bytes: Buffer, start: number, length: number): void {
    this.#length = -1;
    if (length > MAX_KEPT_BYTES) return;
    if (length > this.#kept.length) this.#kept = Buffer.alloc(Math.min(2 * length, MAX_KEPT_BYTES));
    const kept = this.#kept;
    for (let i = 0; i < length; i++) kept[i] = bytes[start + i]!;
    this.#length = length;
  }
}

/** In UTF-8 what follows the first byte of a character is `10xxxxxx`. */
const isContinued = (byte: number): boolean => (byte & 0xc0) === 0x80;

/** Where the last `count` characters begin; of a value that has no more of them than that, none is shown. */
function lastFrom(bytes: Buffer, start: number, length: number, count: number): number {
  const end = start + length;
  let at = end;
  for (let left = count; left > 0 && at > start; left--) {
    at--;
    while (at > start && isContinued(bytes[at]!)) at--;
  }
  return at > start ? at : end;
}

/** What may be the domain of an address: a longer text behind an `@` is none, and may be anything. */
const DOMAIN = /^(?=.{1,253}$)[\p{L}\p{N}]+(?:[.-]+[\p{L}\p{N}]+)*$/u;

/** `alice@example.com` → `a***@example.com`. What is no address is hidden as a whole, and a name of one letter too. */
export function emailOf(text: string): string {
  const at = text.lastIndexOf('@');
  const domain = text.slice(at + 1);
  if (at < 1 || !DOMAIN.test(domain)) return HIDDEN;
  const first = String.fromCodePoint(text.codePointAt(0)!);
  return `${first.length === at ? '' : first}${HIDDEN}@${domain}`;
}

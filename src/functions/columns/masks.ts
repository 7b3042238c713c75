// Masked columns: what stands for their values wherever a value would leave the process. Pure; hot where a column is masked
// (bench/micro/render.ts).
import { createHmac, createSecretKey } from 'node:crypto';
import type { ByteWriter } from '../../core/byte-writer.ts';
import { constant, NULL_TYPE, STRING } from '../../core/json-type.ts';
import { jsonText, writeJsonString } from '../../core/json.ts';
import type { TextOf, ValueForm } from '../../core/render.ts';
import type { ColumnRules, MaskRule } from './rules.ts';

/** What is hidden shows as this, however long it is. */
export const HIDDEN = '***';

export type Mask = {
  readonly rule: MaskRule;
  /** What is told of the value; null: NULL. */
  readonly textOf: TextOf<string | null>;
  /** The same as a value of the message. */
  readonly form: ValueForm;
  /** A text that is the same for the same value, and another one for another: its HMAC. Undefined: there is no key for it. */
  readonly digestOf: TextOf | undefined;
};

/** The masked columns of a table, by their names in Postgres. */
export type Masks = ReadonlyMap<string, Mask>;

export const NO_MASKS: Masks = new Map();

/** `key`: of the HMAC; where there is a mask `hash`, there is one. */
export function compileMasks(rules: Pick<ColumnRules, 'mask'> | undefined, key: string | undefined): Masks {
  if (rules === undefined || rules.mask.size === 0) return NO_MASKS;
  const digestOf = key === undefined ? undefined : digestWith(key);
  return new Map([...rules.mask].map(([column, rule]) => [column, compileMask(rule, digestOf)]));
}

function compileMask(rule: MaskRule, digestOf: TextOf | undefined): Mask {
  switch (rule.kind) {
    case 'null':
      return {
        rule,
        digestOf,
        textOf: () => null,
        form: { type: NULL_TYPE, render: (_, __, ___, writer) => writer.latin1('null') },
      };
    case 'redact':
      return {
        rule,
        digestOf,
        textOf: () => HIDDEN,
        form: { type: constant(HIDDEN), render: (_, __, ___, writer) => writer.latin1(`"${HIDDEN}"`) },
      };
    case 'hash': {
      if (digestOf === undefined) throw new Error('a column is masked by its hash, and there is no key');
      return {
        rule,
        digestOf,
        textOf: digestOf,
        form: {
          type: STRING,
          render: (bytes, start, length, writer) => writer.latin1(`"${digestOf(bytes, start, length)}"`),
        },
      };
    }
    case 'last':
      return {
        rule,
        digestOf,
        textOf: (bytes, start, length) =>
          HIDDEN + bytes.toString('utf8', lastFrom(bytes, start, length, rule.count), start + length),
        form: {
          type: STRING,
          render: (bytes, start, length, writer) => {
            const from = lastFrom(bytes, start, length, rule.count);
            const mark = writer.length;
            writeJsonString(bytes, from, start + length - from, writer);
            insertHidden(mark + 1, writer);
          },
        },
      };
    case 'email': {
      const textOf: TextOf = (bytes, start, length) => emailOf(bytes.toString('utf8', start, start + length));
      return {
        rule,
        digestOf,
        textOf,
        form: {
          type: STRING,
          render: (bytes, start, length, writer) => writer.text(jsonText(textOf(bytes, start, length))),
        },
      };
    }
    default:
      return rule satisfies never;
  }
}

/** Longer values are hashed each time. */
const MAX_KEPT_BYTES = 1024;

/** HMAC-SHA-256 of the text in UTF-8, in hexadecimal digits. One value is asked for in several places of a message: the last is kept. */
function digestWith(secret: string): TextOf {
  const key = createSecretKey(Buffer.from(secret));
  let kept = Buffer.alloc(0);
  let digest: string | undefined;
  return (bytes, start, length) => {
    const end = start + length;
    const isKept = digest !== undefined && length === kept.length && kept.compare(bytes, start, end) === 0;
    if (isKept) return digest!;
    const value = bytes.subarray(start, end);
    const found = createHmac('sha256', key).update(value).digest('hex');
    if (length > MAX_KEPT_BYTES) return found;
    kept = Buffer.from(value);
    digest = found;
    return found;
  };
}

const HIDDEN_BYTES = Buffer.from(HIDDEN);

function insertHidden(at: number, writer: ByteWriter): void {
  writer.reserve(HIDDEN_BYTES.length);
  writer.buffer.copyWithin(at + HIDDEN_BYTES.length, at, writer.length);
  writer.buffer.set(HIDDEN_BYTES, at);
  writer.length += HIDDEN_BYTES.length;
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
  const [first, ...others] = text.slice(0, at);
  return `${others.length === 0 ? '' : first!}${HIDDEN}@${domain}`;
}

// Masked columns: what stands for their values wherever a value would leave the process. Pure; hot where a column is masked
// (bench/micro/render.ts).
import { createHmac, createSecretKey } from 'node:crypto';
import { jsonText } from '../../core/json.ts';
import type { TextOf, ValueRenderer } from '../../core/render.ts';
import type { ColumnRules, MaskRule } from './rules.ts';

/** What is hidden shows as this, however long it is. */
export const HIDDEN = '***';

export type Mask = {
  readonly rule: MaskRule;
  /** What is told of the value; null: NULL. */
  readonly textOf: TextOf<string | null>;
  /** The same as a value of the message. */
  readonly render: ValueRenderer;
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
      return { rule, digestOf, textOf: () => null, render: (_, __, ___, writer) => writer.latin1('null') };
    case 'redact':
      return {
        rule,
        digestOf,
        textOf: () => HIDDEN,
        render: (_, __, ___, writer) => writer.latin1(`"${HIDDEN}"`),
      };
    case 'hash': {
      if (digestOf === undefined) throw new Error('a column is masked by its hash, and there is no key');
      return {
        rule,
        digestOf,
        textOf: digestOf,
        render: (bytes, start, length, writer) => writer.latin1(`"${digestOf(bytes, start, length)}"`),
      };
    }
    case 'last':
      return asText(rule, digestOf, (text) => lastOf(text, rule.count));
    case 'email':
      return asText(rule, digestOf, emailOf);
    default:
      return rule satisfies never;
  }
}

function asText(rule: MaskRule, digestOf: TextOf | undefined, masked: (text: string) => string): Mask {
  const textOf: TextOf = (bytes, start, length) => masked(bytes.toString('utf8', start, start + length));
  return {
    rule,
    digestOf,
    textOf,
    render: (bytes, start, length, writer) => writer.text(jsonText(textOf(bytes, start, length))),
  };
}

/** HMAC-SHA-256 of the text in UTF-8, in hexadecimal digits. */
function digestWith(secret: string): TextOf {
  const key = createSecretKey(Buffer.from(secret));
  return (bytes, start, length) =>
    createHmac('sha256', key)
      .update(bytes.subarray(start, start + length))
      .digest('hex');
}

/** Of a value that has no more characters than are shown, none is. */
export function lastOf(text: string, count: number): string {
  const characters = Array.from(text);
  return characters.length > count ? HIDDEN + characters.slice(-count).join('') : HIDDEN;
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

// The headers of a webhook: checked where they are written, merged without regard to case.
import { z } from 'zod';
import { isTemplate } from '../../core/template.ts';
import { faultsOfRouted, resolved } from '../routing/fields.ts';
import { faultOfText } from './printable.ts';

export type Header = { readonly key: string; readonly value: string };

// https://www.rfc-editor.org/rfc/rfc9110#name-field-names
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Those that say how this request is framed, routed or identified. */
const RESERVED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'idempotency-key',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'webhook-id',
  'webhook-signature',
  'webhook-timestamp',
]);

export const CONTENT_ENCODING = 'content-encoding';

type Written = readonly Header[] | Readonly<Record<string, string>>;

/** Zod's records leave out a key that is called `__proto__`. */
const mappingOfTexts = () =>
  z
    .custom<Readonly<Record<string, string>>>(
      (written) => typeof written === 'object' && written !== null && !Array.isArray(written),
    )
    .check(({ value, issues }) => {
      for (const [key, text] of Object.entries(value)) {
        if (typeof text === 'string') continue;
        // As a record says it, so that a number can be read as the text that it was written as.
        issues.push({ code: 'invalid_type', expected: 'string', input: text, path: [key] });
      }
    })
    .meta({ type: 'object', additionalProperties: { type: 'string' } });

/** A header's value, also once the row's values stand in it. */
export const headerValue = resolved(
  z.string().superRefine((text, context) => {
    const fault = faultOfText(text);
    if (fault === undefined) return;
    const message = `the value of a header is printable ASCII, without blanks around it: ${fault}`;
    context.addIssue({ code: 'custom', message });
  }),
  'header',
);

/**
 * As sequin.yaml writes them: a list of `key` and `value`, or a mapping. A fault never repeats a value. `takesTemplates`: the row's values
 * may stand in them.
 */
export const headerList = ({ takesTemplates = false } = {}) =>
  z
    .union([z.array(z.strictObject({ key: z.string(), value: z.string() })), mappingOfTexts()], {
      error: 'headers are a list of `key` and `value`, or a mapping of names to values; numbers in quotes',
    })
    .default([])
    .transform((written: Written, context): readonly Header[] => {
      const isList = Array.isArray(written);
      const headers = isList
        ? (written as readonly Header[])
        : Object.entries(written as Readonly<Record<string, string>>).map(([key, value]) => ({ key, value }));
      const seen = new Set<string>();
      for (const [index, { key, value }] of headers.entries()) {
        const fault = (part: 'key' | 'value', message: string): void =>
          context.addIssue({ code: 'custom', path: isList ? [index, part] : [key], message });
        const nameFault = faultOfName(key, seen);
        if (nameFault !== undefined) fault('key', nameFault);
        const valueFault =
          takesTemplates && isTemplate(value) ? faultOfTemplate(key, value) : faultOfValue(key, value);
        if (valueFault !== undefined) fault('value', valueFault);
        seen.add(key.toLowerCase());
      }
      return headers;
    });

function faultOfName(name: string, seen: ReadonlySet<string>): string | undefined {
  if (!NAME.test(name)) return 'this is not the name of a header: letters, digits and hyphens are expected';
  const lower = name.toLowerCase();
  if (RESERVED.has(lower)) return `the header ${lower} is Tailrace's own: leave it out`;
  return seen.has(lower) ? `the header ${lower} is written twice` : undefined;
}

function faultOfValue(name: string, value: string): string | undefined {
  if (/[\r\n]/.test(value)) {
    return 'a header has no line breaks; a block that begins with "|" ends with one: write "|-"';
  }
  const fault = headerValue.safeParse(value).error;
  if (fault !== undefined) return fault.issues[0]!.message;
  if (name.toLowerCase() === CONTENT_ENCODING && !/^gzip$/i.test(value)) {
    return 'gzip is the only content-encoding that is known here';
  }
  return undefined;
}

/** Whether a body is compressed is no row's to say. */
const faultOfTemplate = (name: string, value: string): string | undefined =>
  name.toLowerCase() === CONTENT_ENCODING ? faultOfValue(name, value) : faultsOfRouted(value, headerValue)[0];

/** The later list wins. */
export function mergeHeaders(...lists: readonly (readonly Header[])[]): Header[] {
  const merged = new Map<string, Header>();
  for (const header of lists.flat()) merged.set(header.key.toLowerCase(), header);
  return [...merged.values()];
}

// Group id templates: text with `${column}`, `${%table%}`, `${%schema%}` and `${%xid%}` (pg2sqs' macros).
import { TailraceError } from './errors.ts';

export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'column'; readonly name: string }
  | { readonly kind: 'table' }
  | { readonly kind: 'schema' }
  | { readonly kind: 'xid' };

export type Template = readonly TemplatePart[];

const MACROS: ReadonlyMap<string, TemplatePart> = new Map<string, TemplatePart>([
  ['%table%', { kind: 'table' }],
  ['%schema%', { kind: 'schema' }],
  ['%xid%', { kind: 'xid' }],
]);

/** Parses a template; throws TailraceError TEMPLATE_SYNTAX naming what is wrong. */
export function parseTemplate(text: string): Template {
  const parts: TemplatePart[] = [];
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf('${', at);
    if (open === -1) {
      parts.push({ kind: 'text', text: text.slice(at) });
      break;
    }
    if (open > at) parts.push({ kind: 'text', text: text.slice(at, open) });
    const close = text.indexOf('}', open);
    if (close === -1) throw syntaxError(text, `"\${" at character ${open + 1} is not closed by "}"`);
    const name = text.slice(open + 2, close);
    if (name === '') throw syntaxError(text, `"\${}" at character ${open + 1} names no column`);
    const macro = MACROS.get(name);
    if (macro === undefined && /^%.*%$/.test(name)) {
      throw syntaxError(text, `there is no macro ${name}`);
    }
    parts.push(macro ?? { kind: 'column', name });
    at = close + 1;
  }
  return parts;
}

function syntaxError(text: string, what: string): TailraceError {
  return new TailraceError(`group id template "${text}": ${what}`, {
    code: 'TEMPLATE_SYNTAX',
    kind: 'fatal',
    hint: 'use ${column}, ${%table%}, ${%schema%} or ${%xid%}',
  });
}

/** The columns that a template names. */
export const templateColumns = (template: Template): string[] =>
  template.filter((part) => part.kind === 'column').map((part) => part.name);

// Templates over a row: `${row.region}` (of a delete the old row), `${old.region}`, `${meta.table}`, each with a default where it ends with
// `:-other`. A group id's also have bare column names and pg2sqs' macros: `${id}`, `${%table%}`, `${%schema%}`, `${%xid%}`.
import { TailraceError } from './errors.ts';
import { didYouMean, nearestName } from './nearest-name.ts';

/** Of the row as it is after the change, or before it. */
export type RowImage = 'row' | 'old';

export type ColumnPart = {
  readonly kind: 'value';
  readonly image: RowImage;
  readonly name: string;
  /** What stands for NULL and for what was not sent. */
  readonly fallback: string | undefined;
};

export type TemplatePart =
  | { readonly kind: 'text'; readonly text: string }
  | ColumnPart
  /** A bare name: NULL and what was not sent are the empty text. */
  | { readonly kind: 'column'; readonly name: string }
  | { readonly kind: 'table' }
  | { readonly kind: 'schema' }
  | { readonly kind: 'action' }
  | { readonly kind: 'xid' };

export type Template = readonly TemplatePart[];

const MACROS: ReadonlyMap<string, TemplatePart> = new Map<string, TemplatePart>([
  ['%table%', { kind: 'table' }],
  ['%schema%', { kind: 'schema' }],
  ['%xid%', { kind: 'xid' }],
]);

const META: Readonly<Record<string, TemplatePart>> = {
  table: { kind: 'table' },
  schema: { kind: 'schema' },
  action: { kind: 'action' },
};

const IMAGES = ['row', 'old', 'meta'] as const;

/** `${` names what stands there; a text without it is no template. */
export const isTemplate = (text: string): boolean => text.includes('${');

/** As the template of a group id. Throws as `parseRowTemplate`. */
export function parseTemplate(text: string): Template {
  return parse(text, 'group id template', (name) => {
    const macro = MACROS.get(name);
    if (macro !== undefined) return macro;
    if (/^%.*%$/.test(name)) return fault(`there is no macro ${name}`);
    const found = dotted(name);
    if (found === undefined) return { kind: 'column', name };
    if (found.kind === 'action' || (found.kind === 'value' && found.image === 'old'))
      return fault(`\${${name}} would put the changes of one row into several groups`);
    return found;
  });
}

/** As a template of what a row decides. Throws TailraceError TEMPLATE_SYNTAX naming what is wrong. */
export const parseRowTemplate = (text: string): Template =>
  parse(text, 'template', (name) => {
    const found = dotted(name);
    if (found !== undefined) return found;
    const [image = ''] = name.split('.');
    return fault(
      name.includes('.')
        ? `\${${name}}: there is no ${image}${didYouMean(nearestName(image, IMAGES))}`
        : `\${${name}} is no value of the row: a column is written \${row.${name}}`,
    );
  });

/** `row.region`, `old.region:-other`, `meta.table`; undefined: something else. */
function dotted(written: string): TemplatePart | undefined {
  const [, image, name = '', fallback] = /^(row|old|meta)\.(.*?)(?::-(.*))?$/s.exec(written) ?? [];
  if (image === undefined) return undefined;
  if (name === '') return fault(`\${${written}} names no column`);
  if (image !== 'meta') return { kind: 'value', image: image as RowImage, name, fallback };
  if (Object.hasOwn(META, name)) return META[name];
  return fault(
    `\${meta.${name}}: of a change there are ${Object.keys(META).join(', ')}${didYouMean(nearestName(name, Object.keys(META)))}`,
  );
}

function parse(text: string, what: string, partOf: (name: string) => TemplatePart): Template {
  try {
    return partsOf(text, partOf);
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error;
    throw new TailraceError(`${what} "${text}": ${error.message}`, {
      code: 'TEMPLATE_SYNTAX',
      kind: 'fatal',
      hint: what === 'template' ? ROW_HINT : GROUP_HINT,
    });
  }
}

const ROW_HINT = 'use ${row.column}, ${old.column}, ${meta.table}, and a default as in ${row.column:-other}';
const GROUP_HINT = 'use ${column}, ${row.column}, ${row.column:-other}, ${%table%}, ${%schema%} or ${%xid%}';

function partsOf(text: string, partOf: (name: string) => TemplatePart): Template {
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
    if (close === -1) return fault(`"\${" at character ${open + 1} is not closed by "}"`);
    const name = text.slice(open + 2, close);
    if (name === '') return fault(`"\${}" at character ${open + 1} names no column`);
    if (name.includes('${')) return fault(`a default is a text: "\${" stands inside of it`);
    parts.push(partOf(name));
    at = close + 1;
  }
  return parts;
}

class SyntaxFault extends Error {}
function fault(what: string): never {
  throw new SyntaxFault(what);
}

/** How a part is written. */
export const writtenAs = ({ image, name }: ColumnPart): string => `\${${image}.${name}}`;

/** The columns that a template names. */
export const templateColumns = (template: Template): string[] =>
  template.flatMap((part) => (part.kind === 'column' || part.kind === 'value' ? part.name : []));

/** Of those, the ones for which no default stands. */
export const neededColumns = (template: Template): ColumnPart[] =>
  template.flatMap((part) => (part.kind === 'value' && part.fallback === undefined ? part : []));

/** Those of the row as it is for which a default stands, or the empty text. */
export const defaultedColumns = (template: Template): string[] =>
  template.flatMap((part) => {
    if (part.kind === 'column') return part.name;
    return part.kind === 'value' && part.image === 'row' && part.fallback !== undefined ? part.name : [];
  });

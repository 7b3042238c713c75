// Whether a template can give what is allowed at all: else every row would be a dead letter, or a name on the list would wait for ever.
import { TailraceError } from '../../core/errors.ts';
import {
  isTemplate,
  parseRowTemplate,
  writtenAs,
  type ColumnPart,
  type Template,
} from '../../core/template.ts';
import type { RoutedFields, RouteTemplate } from '../sink.ts';
import { listed, type AllowedNames } from './allowed.ts';
import { sampleOf } from './fields.ts';

/** One character, or as many of a kind as there are. */
type Piece = { readonly of: string | RegExp; readonly isMany: boolean };

const fixed = (text: string): readonly Piece[] => Array.from(text, (of) => ({ of, isMany: false }));

/** As `Allowed` takes a star. */
const STAR: Piece = { of: /[A-Za-z0-9_-]/, isMany: true };

/** What a value may be where `allowed` says what the whole may be (`ANYTHING`). */
const VALUE = /[^#]/;
const ANY_VALUE: readonly Piece[] = [
  { of: VALUE, isMany: false },
  { of: VALUE, isMany: true },
];

/** Of a pattern, or of a name. */
export const piecesOf = (pattern: string): readonly Piece[] =>
  pattern.split('*').flatMap((text, i) => [...(i === 0 ? [] : [STAR]), ...fixed(text)]);

/** Of two kinds there are always characters of both: letters. */
function agree(one: Piece, other: Piece): boolean {
  if (typeof one.of === 'string')
    return typeof other.of === 'string' ? one.of === other.of : other.of.test(one.of);
  return typeof other.of === 'string' ? one.of.test(other.of) : true;
}

/** Is there a text of both? */
export function meet(one: readonly Piece[], other: readonly Piece[]): boolean {
  /** Of what is behind piece `i` of one and each piece of the other. */
  let behind: boolean[] = [];
  for (let i = one.length; i >= 0; i--) {
    const here: boolean[] = [];
    for (let j = other.length; j >= 0; j--) here[j] = meetAt(i, j, here);
    behind = here;
  }
  return behind[0]!;

  function meetAt(i: number, j: number, here: readonly boolean[]): boolean {
    const [a, b] = [one[i], other[j]];
    if (a === undefined && b === undefined) return true;
    // It may be none.
    if (a?.isMany === true && behind[j]!) return true;
    if (b?.isMany === true && here[j + 1]!) return true;
    if (a === undefined || b === undefined || !agree(a, b)) return false;
    if (a.isMany) return !b.isMany && here[j + 1]!;
    return b.isMany ? behind[j]! : behind[j + 1]!;
  }
}

/** A place of the configuration that says where rows go. */
type Place = {
  readonly key: string;
  readonly text: string;
  readonly template: Template;
  readonly schema: RoutedFields['shape'][string];
};

type ReachFault = { readonly path: readonly string[]; readonly message: string };

/** Names of `allowed` that no template of the destination gives, a pattern that none matches, and defaults that none allows. */
export function* unreachable(
  allowed: AllowedNames | undefined,
  templates: readonly RouteTemplate[],
  { shape }: RoutedFields,
): Generator<ReachFault> {
  const places = templates.flatMap((each) => placeOf(each, shape));
  if (allowed === undefined || places.length === 0) return;
  const isWritten = (name: string): boolean => templates.some(({ template }) => template === name);
  for (const [index, name] of listed(allowed).entries()) {
    // These are said to be none (`unfitNames`).
    const isName =
      !name.includes('*') && Object.values(shape).some((schema) => schema.safeParse(name).success);
    if (!isName || isWritten(name) || places.some((place) => gives(place, name))) continue;
    yield { path: ['allowed', String(index)], message: ungiven(name, places[0]!) };
  }
  if (typeof allowed === 'string' && !places.some((place) => givesLike(place, allowed)))
    yield { path: ['allowed'], message: unmatched(allowed, places[0]!) };
  const names = typeof allowed === 'string' ? [allowed] : allowed.filter((name) => !name.includes('*'));
  for (const { key, template } of places)
    for (const { part, fallback } of defaultsOf(template)) {
      const withDefault = pieces(template, part);
      if (names.some((name) => meet(withDefault, piecesOf(name)))) continue;
      // Where without it there is none either, that is said above.
      if (!names.some((name) => meet(pieces(template), piecesOf(name)))) continue;
      const message = `the default of ${part} in ${key} gives none of allowed: list what it gives, or write another default than "${fallback}"`;
      yield { path: ['allowed'], message };
    }
}

/** None where no row decides, or where the field says what is wrong with its template. */
function placeOf({ key, template: text }: RouteTemplate, shape: RoutedFields['shape']): readonly Place[] {
  const schema = shape[key.slice(key.lastIndexOf('.') + 1)];
  if (schema === undefined || !isTemplate(text)) return [];
  try {
    return [{ key, text, template: parseRowTemplate(text), schema }];
  } catch (error) {
    if (error instanceof TailraceError) return [];
    throw error;
  }
}

/** Of a template's texts; `defaulted`: of those in which this column has its default. */
const pieces = (template: Template, defaulted?: string): readonly Piece[] =>
  template.flatMap((part) => {
    if (part.kind === 'text') return fixed(part.text);
    if (part.kind !== 'value' || part.fallback === undefined || writtenAs(part) !== defaulted)
      return ANY_VALUE;
    return fixed(part.fallback);
  });

/** Each column once. */
function defaultsOf(template: Template): readonly { readonly part: string; readonly fallback: string }[] {
  const parts = template.filter((part): part is ColumnPart => part.kind === 'value');
  const found = new Map<string, string>();
  for (const part of parts) if (part.fallback !== undefined) found.set(writtenAs(part), part.fallback);
  return [...found].map(([part, fallback]) => ({ part, fallback }));
}

const gives = ({ template, schema }: Place, name: string): boolean =>
  schema.safeParse(name).success && meet(pieces(template), fixed(name));

const givesLike = ({ template, schema }: Place, pattern: string): boolean =>
  meet(pieces(template), piecesOf(pattern)) && isLike(schema, pattern);

/** What may stand for a star: words of what the field says that it takes, whole or a part of one, and parts of an account's number. */
function standsFor(schema: Place['schema']): readonly string[] {
  const said = schema.safeParse('').error?.issues[0]?.message ?? '';
  const parts = said
    .split(/[^A-Za-z0-9_-]+/)
    .flatMap((word) => Array.from(word, (_, i) => [word.slice(i), word.slice(0, i)]).flat());
  return [...new Set(['x', '', ...parts])];
}

/** Does the field take a text that matches? */
function isLike(schema: Place['schema'], pattern: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const words = rest.length === 0 ? [] : standsFor(schema);
  const texts = rest.reduce<readonly string[]>(
    (begun, text) => begun.flatMap((each) => words.map((word) => each + word + text)),
    [first],
  );
  return texts.some((text) => schema.safeParse(text).success);
}

function ungiven(name: string, place: Place): string {
  const like = [name, name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf(':')) + 1)]
    .map((value) => withValue(place, value))
    .find((text) => text !== undefined && text !== name);
  const why = like === undefined ? whyNone(place, name) : '';
  const example = like === undefined ? '' : `, such as "${like}"`;
  return `no row can name "${name}" by ${written(place)}${why}: list the whole of what it gives${example}, or leave it out`;
}

function unmatched(pattern: string, place: Place): string {
  const why = meet(pieces(place.template), piecesOf(pattern)) ? whyNone(place, pattern) : '';
  return `no row can name what matches "${pattern}" by ${written(place)}${why}: write a pattern of the whole of what it gives`;
}

const written = ({ key, text }: Place): string => `${key}: "${text}"`;

function whyNone({ schema }: Place, text: string): string {
  const { error } = schema.safeParse(text);
  return error === undefined ? '' : `: ${error.issues[0]!.message}`;
}

/** The text that a row with this value would give, if one value makes it. */
function withValue({ template, schema }: Place, value: string): string | undefined {
  if (template.some(({ kind }) => kind !== 'text' && kind !== 'value')) return undefined;
  if (template.filter(({ kind }) => kind === 'value').length !== 1) return undefined;
  const text = sampleOf(template, value);
  return schema.safeParse(text).success ? text : undefined;
}

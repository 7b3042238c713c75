// What a row may name where it gives a whole name, URL or ARN: a list of them, or a pattern with `*`.
import { z } from 'zod';
import { isTemplate } from '../../core/template.ts';
import type { RoutedFields, RouteTemplate } from '../sink.ts';
import { escapePattern } from './bounds.ts';

export type AllowedNames = string | readonly string[];

/** Rows say what is held against it, as often as they like: with more stars it could take long. */
const MAX_STARS = 2;
const pattern = z
  .string()
  .min(1)
  .refine(
    (text) => text.split('*').length - 1 <= MAX_STARS,
    `a pattern has at most ${MAX_STARS} stars: write a list`,
  );

/** `noun`: `queue`, `topic`. */
export const allowedField = (noun: string) =>
  z
    .union([pattern, z.array(z.string().min(1)).min(1)])
    .optional()
    .describe(
      `The ${noun}s that a row may choose, where a template gives the whole name of one: a list, or a pattern in which \`*\` stands for letters, digits, hyphens and underscores. Those of a list are looked for at the start, and made with \`create_if_not_exists\`; no other ${noun} that a row names is.`,
    );

export class Allowed {
  readonly #names: ReadonlySet<string> | undefined;
  readonly #pattern: RegExp | undefined;
  readonly hint: string;

  constructor(allowed: AllowedNames) {
    if (typeof allowed === 'string') {
      this.#pattern = new RegExp(`^${allowed.split('*').map(escapePattern).join('[A-Za-z0-9_-]*')}$`);
      this.hint = `what the row names does not match allowed (${allowed})`;
    } else {
      this.#names = new Set(allowed);
      this.hint = 'what the row names is not in the list allowed: add it there, or correct the row';
    }
  }

  allows(name: string): boolean {
    return this.#names?.has(name) ?? this.#pattern!.test(name);
  }
}

/** Those that are known before any row. */
export const listed = (allowed: AllowedNames | undefined): readonly string[] =>
  allowed === undefined || typeof allowed === 'string' ? [] : allowed;

/** Has a name, URL or ARN nothing of its own in the part that says which one, or the row's values before it? Then the row may name any. */
export function namesFreely(text: string): boolean {
  if (!isTemplate(text)) return false;
  // What is known of the change is no row's to choose.
  const fixed = text.replaceAll(/\$\{meta\.[^}]*\}/g, 'meta').replaceAll(/\$\{[^}]*\}/g, '\0');
  const last = Math.max(fixed.lastIndexOf('/'), fixed.lastIndexOf(':'));
  if (fixed.slice(0, last + 1).includes('\0')) return true;
  return !/[A-Za-z0-9]/.test(fixed.slice(last + 1).replace(/\.fifo$/, ''));
}

/** What there is to say of it. */
export const freelyNamed = (noun: string): string =>
  `the row would name any ${noun}: give the template a text of its own (orders-\${row.region}), or say in allowed which ${noun}s there may be`;

/** Of a list the names that are none, by the schemas of the fields that may have them: `allowed[1]`. */
export function* unfitNames(
  allowed: AllowedNames | undefined,
  { shape }: RoutedFields,
): Generator<{ readonly path: readonly string[]; readonly message: string }> {
  const schemas = Object.values(shape);
  for (const [index, name] of listed(allowed).entries()) {
    const path = ['allowed', String(index)];
    if (name.includes('*')) {
      yield { path, message: `a list has whole names: a pattern stands alone, allowed: "${name}"` };
      continue;
    }
    const errors = schemas.map((schema) => schema.safeParse(name).error);
    if (errors.every((error) => error !== undefined)) yield { path, message: errors[0]!.issues[0]!.message };
  }
}

/** Who asks for missing ones to be made is told of which none are. */
export function unmadeNotes(
  config: { readonly create_if_not_exists: boolean; readonly allowed?: AllowedNames | undefined },
  templates: readonly RouteTemplate[],
): readonly string[] {
  if (!config.create_if_not_exists || Array.isArray(config.allowed)) return [];
  return templates
    .filter(({ template }) => isTemplate(template))
    .map(
      ({ key, template }) =>
        `${key}: what rows name by "${template}" is not created: list in allowed what create_if_not_exists may make`,
    );
}

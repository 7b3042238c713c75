// Fields of a destination that may have values of the row in them: checked where they are written, as far as they are known without a row.
import { z } from 'zod';
import { TailraceError } from '../../core/errors.ts';
import { isTemplate, parseRowTemplate, type Template } from '../../core/template.ts';
import type { RoutedFields } from '../sink.ts';
import { BOUNDS, type Bounds, type BoundsName } from './bounds.ts';

/** What a field may be once the row's values stand in it; `bounds`: what each of them may be. */
export const resolved = (schema: z.ZodType<string>, bounds: BoundsName): z.ZodType<string> =>
  schema.meta({ bounds });

export function boundsOf({ shape }: RoutedFields, key: string): Bounds {
  const { bounds } = z.globalRegistry.get(shape[key]!) as { bounds: BoundsName };
  return BOUNDS[bounds];
}

/** A text as `fixed` takes it, or a template whose texts may be what `schema` (of `resolved`) takes. */
export const routed = (schema: z.ZodType<string>, fixed = schema) =>
  z.string().superRefine((text, context) => {
    for (const message of faultsOfRouted(text, schema, fixed)) context.addIssue({ code: 'custom', message });
  });

export function faultsOfRouted(text: string, schema: z.ZodType<string>, fixed = schema): readonly string[] {
  if (!isTemplate(text)) return fixed.safeParse(text).error?.issues.map(({ message }) => message) ?? [];
  const { bounds } = z.globalRegistry.get(schema) as { bounds: BoundsName };
  let template: Template;
  try {
    template = parseRowTemplate(text);
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error;
    return [`${error.message}: ${error.hint}`];
  }
  const wrong = template.flatMap((part) => {
    const fault =
      part.kind === 'value' && part.fallback !== undefined
        ? BOUNDS[bounds].faultOf(part.fallback)
        : undefined;
    return fault === undefined ? [] : `its default does not fit: ${fault}`;
  });
  // Of a whole text from the row `allowed` says what it may be.
  if (wrong.length > 0 || template.every(({ kind }) => kind !== 'text')) return wrong;
  return schema.safeParse(sampleOf(template)).error?.issues.map(({ message }) => message) ?? [];
}

/** With this in the place of each value. `x`: as short as such texts get. */
export const sampleOf = (template: Template, value = 'x'): string =>
  template.map((part) => (part.kind === 'text' ? part.text : value)).join('');

/** A text with this in the place of each value; one that is no template, or a wrong one, as it is. */
export function withStandIns(text: string, value: string): string {
  try {
    return isTemplate(text) ? sampleOf(parseRowTemplate(text), value) : text;
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error;
    return text;
  }
}

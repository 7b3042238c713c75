// A whole filter as a statement that a server can be asked about, in a scope like the one that the filter has here. Pure.
import { escapeIdentifier } from 'pg';
import type { Relation } from '../../../core/change.ts';
import { namedColumns } from '../../../functions/where/named-columns.ts';
import type { Filter } from '../../../functions/where/syntax.ts';
import { characterCount } from '../../../functions/where/values/texts.ts';
import type { TypeTexts } from './type-texts.ts';

const META = 'action text, schema text, "table" text, commit_timestamp timestamptz, annotations jsonb';
const BEFORE = 'select s.* from jsonb_to_record(null::jsonb) as old(';

/** `before`: so many characters stand before the filter. */
export type Whole = { readonly text: string; readonly before: number };

/**
 * A column by itself is that of the innermost scope, the new row; `old` and `meta` are around it. What the filter does not name is left
 * out: nobody has to be allowed to use its type. Undefined: a type is gone since.
 */
export function wholeFilter(
  { syntax, text }: Filter,
  relation: Relation,
  texts: TypeTexts,
): Whole | undefined {
  const named = new Set(namedColumns(syntax).map(({ name }) => name));
  const columns: string[] = [];
  for (const { name, type, typeModifier } of relation.columns) {
    if (!named.has(name)) continue;
    const typeText = texts.of(type, typeModifier);
    if (typeText === undefined) return undefined;
    columns.push(`${escapeIdentifier(name)} ${typeText}`);
  }
  const scope = columns.join(', ') || 'nothing int4';
  const before = `${BEFORE}${scope}), jsonb_to_record(null::jsonb) as meta(${META}), lateral (select ((\n`;
  return {
    text: `${before}${text}\n) is true) from jsonb_to_record(null::jsonb) as new(${scope})) s`,
    before: characterCount(before),
  };
}

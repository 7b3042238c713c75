// Does a filter mean for a server what it means here? The whole is parsed there, and each part beside what was chosen for it here.
import type { Client } from 'pg';
import type { Relation } from '../../../core/change.ts';
import { choicesIn } from '../../../functions/where/filter.ts';
import { parseFilters } from '../../../functions/where/parsing.ts';
import { characterPlace } from '../../../functions/where/positions.ts';
import type { Filter, Syntax } from '../../../functions/where/syntax.ts';
import { describeStatement, readOnly } from '../../../postgres/described.ts';
import { comparedOperands, comparedTypes, partsOf, type Disagreement, type Parts } from './parts.ts';
import { readTypeTexts } from './type-texts.ts';
import { wholeFilter } from './whole.ts';

export type Compared =
  | { readonly kind: 'agrees' }
  /** `refused`: the server does not take it at all. Else it takes something else. */
  | ({ readonly kind: 'refused' | 'differs' } & Disagreement)
  /** The role may not name types in these schemas, so the server cannot be asked: what was resolved here stands. */
  | { readonly kind: 'hidden'; readonly schemas: readonly string[] }
  /** It cannot be asked: the relation is older than the server's catalog, or it has other worries. */
  | { readonly kind: 'unknown' };

const INSUFFICIENT_PRIVILEGE = '42501';
/** What is wrong with a statement, and not with the server. https://www.postgresql.org/docs/current/errcodes-appendix.html */
const FAULT_CLASSES: ReadonlySet<string> = new Set(['0A', '22', '42']);

/**
 * In a transaction of its own that changes nothing and ends soon, whatever the text is. `relation`: as it was logged, or as it is now.
 * Throws WhereRefusal where the filter has no meaning here; rejects where the connection is gone.
 */
export async function compareWithServer(
  client: Client,
  filter: Filter,
  relation: Relation,
): Promise<Compared> {
  const choices = choicesIn(filter, relation);
  const texts = await readTypeTexts(client, relation);
  const whole = wholeFilter(filter, relation, texts);
  const parts = partsOf(choices, texts);
  if (whole === undefined) return { kind: 'unknown' };
  return readOnly(client, async () => {
    const described = await describeStatement(client, whole.text);
    if (described.kind === 'refusal') {
      const { code, message, place } = described;
      if (code === INSUFFICIENT_PRIVILEGE) return { kind: 'hidden', schemas: texts.hidden };
      if (!FAULT_CLASSES.has(code.slice(0, 2))) return { kind: 'unknown' };
      return { kind: 'refused', message, at: characterPlace(filter.text, Math.max(0, place - whole.before)) };
    }
    const found = parts && (await compareParts(client, parts, relation));
    return found === undefined ? { kind: 'agrees' } : { kind: 'differs', ...found };
  });
}

async function compareParts(
  client: Client,
  parts: Parts,
  relation: Relation,
): Promise<Disagreement | undefined> {
  const described = await describeStatement(client, parts.text);
  if (described.kind === 'refusal') {
    const { at } = parts.choiceAt(described.place);
    return FAULT_CLASSES.has(described.code.slice(0, 2)) ? { at, message: described.message } : undefined;
  }
  return (
    comparedTypes(parts, described.types, relation) ??
    comparedOperands(parts, await printedParts(client, parts))
  );
}

type Explained = {
  readonly 'QUERY PLAN': readonly [{ readonly Plan: { readonly Output?: readonly string[] } }];
};

/**
 * Each operator stands over columns: what is folded when it is planned is not the filter's. Nor is the text: its literals are in it as
 * literals.
 */
export async function printedParts(
  client: Client,
  { text }: Parts,
): Promise<readonly (Syntax | undefined)[]> {
  const { rows } = await client.query<Explained>(`explain (verbose, costs off, format json) ${text}`);
  const parsed = await parseFilters(rows[0]?.['QUERY PLAN'][0].Plan.Output ?? []);
  return parsed.map((result) => (result.kind === 'filter' ? result.filter.syntax : undefined));
}

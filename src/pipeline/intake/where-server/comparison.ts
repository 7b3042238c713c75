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

/** What the server said; `printed`: how it prints what it chose, which is still to be parsed. */
export type Heard =
  Compared | { readonly kind: 'printed'; readonly parts: Parts; readonly texts: readonly string[] };

/** `askServer` and `judge`. */
export const compareWithServer = async (
  client: Client,
  filter: Filter,
  relation: Relation,
): Promise<Compared> => judge(await askServer(client, filter, relation));

/**
 * In a transaction of its own that changes nothing and ends soon, whatever the text is. `relation`: as it was logged, or as it is now.
 * Throws WhereRefusal where the filter has no meaning here; rejects where the connection is gone.
 */
export async function askServer(client: Client, filter: Filter, relation: Relation): Promise<Heard> {
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
    return parts === undefined ? { kind: 'agrees' } : await askOfParts(client, parts, relation);
  });
}

async function askOfParts(client: Client, parts: Parts, relation: Relation): Promise<Heard> {
  const described = await describeStatement(client, parts.text);
  if (described.kind === 'refusal') {
    if (!FAULT_CLASSES.has(described.code.slice(0, 2))) return { kind: 'agrees' };
    return { kind: 'differs', at: parts.choiceAt(described.place).at, message: described.message };
  }
  const found = comparedTypes(parts, described.types, relation);
  if (found !== undefined) return { kind: 'differs', ...found };
  return { kind: 'printed', parts, texts: await printedParts(client, parts) };
}

/** Needs no server: whoever asks for several filters has what was printed of them parsed together. */
export async function judge(heard: Heard): Promise<Compared> {
  if (heard.kind !== 'printed') return heard;
  const found = comparedOperands(heard.parts, await parsedParts(heard.texts));
  return found === undefined ? { kind: 'agrees' } : { kind: 'differs', ...found };
}

type Explained = {
  readonly 'QUERY PLAN': readonly [{ readonly Plan: { readonly Output?: readonly string[] } }];
};

/**
 * Each operator stands over columns: what is folded when it is planned is not the filter's. Nor is the text: its literals are in it as
 * literals.
 */
export async function printedParts(client: Client, { text }: Parts): Promise<readonly string[]> {
  const { rows } = await client.query<Explained>(`explain (verbose, costs off, format json) ${text}`);
  return rows[0]?.['QUERY PLAN'][0].Plan.Output ?? [];
}

export async function parsedParts(texts: readonly string[]): Promise<readonly (Syntax | undefined)[]> {
  const parsed = await parseFilters(texts);
  return parsed.map((result) => (result.kind === 'filter' ? result.filter.syntax : undefined));
}

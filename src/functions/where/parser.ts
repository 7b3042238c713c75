// From the text of a filter to its syntax, by Postgres' own parser: one expression, and nothing else. Loaded at configuration time only.
// https://github.com/pganalyze/libpg_query
import type { Node, ParseResult } from '@pgsql/types';
import { WhereRefusal } from './fault.ts';
import { readExpression } from './grammar.ts';
import { bytePlaces, characterPlace } from './positions.ts';
import type { Filter } from './syntax.ts';

export const MAX_FILTER_BYTES = 8 * 1024;

/** On lines of their own: a comment at the end of the filter takes nothing with it. */
const PREFIX = 'SELECT (\n';
const SUFFIX = '\n)';

export type FilterParser = (text: string) => Filter;

/** Its memory (a few megabytes) stays with the thread that loads it. */
export async function loadFilterParser(): Promise<FilterParser> {
  const { hasSqlDetails, loadModule, parseSync } = await import('libpg-query');
  await loadModule();
  return (text) => {
    checkText(text);
    const wrapped = `${PREFIX}${text}${SUFFIX}`;
    let parsed: ParseResult;
    try {
      parsed = parseSync(wrapped);
    } catch (error) {
      if (!hasSqlDetails(error)) throw error;
      const { message, cursorPosition = 0 } = error.sqlDetails ?? { message: error.message };
      throw new WhereRefusal(message, inText(characterPlace(wrapped, cursorPosition), text));
    }
    const places = bytePlaces(wrapped);
    const placeOf = (offset: number): number => inText(places(offset), text);
    return { text, syntax: readExpression(onlyExpression(parsed, placeOf), placeOf) };
  };
}

const inText = (place: number, text: string): number =>
  Math.min(Math.max(0, place - PREFIX.length), text.length);

function checkText(text: string): void {
  if (text.trim() === '') throw new WhereRefusal('an expression is expected here', 0);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_FILTER_BYTES)
    throw new WhereRefusal(`this has ${bytes} bytes; a filter has at most ${MAX_FILTER_BYTES}`, 0);
  const zero = text.indexOf('\0');
  if (zero !== -1) throw new WhereRefusal('a zero byte stands here', zero);
  if (!text.isWellFormed()) throw new WhereRefusal('half a character stands here', 0);
}

/** The one target of the one statement that we wrote: whoever closes our parenthesis opens something else. */
function onlyExpression({ stmts = [] }: ParseResult, placeOf: (offset: number) => number): Node {
  const second = stmts[1];
  if (second !== undefined)
    throw new WhereRefusal('another statement begins here', placeOf(second.stmt_location ?? 0));
  const statement = stmts[0]?.stmt;
  const select = statement !== undefined && 'SelectStmt' in statement ? statement.SelectStmt : undefined;
  const { targetList = [], limitOption, op, ...others } = select ?? {};
  const [target, next] = targetList.map((node) => ('ResTarget' in node ? node.ResTarget : {}));
  if (next !== undefined)
    throw new WhereRefusal('another expression begins here', placeOf(next.location ?? 0));
  const isPlain =
    Object.keys(others).length === 0 && limitOption === 'LIMIT_OPTION_DEFAULT' && op === 'SETOP_NONE';
  const { val, location: _, ...named } = target ?? {};
  if (!isPlain || val === undefined || Object.keys(named).length > 0)
    throw new WhereRefusal('a filter is one expression, and nothing beside it', 0);
  return val;
}

// The filters of one relation, the sink's and the table's own, compiled for the columns that it has.
import type { Relation, RowEvent } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import { optionsFor, type TableName } from '../../core/selection.ts';
import { lineAndColumn, WhereRefusal } from '../../functions/where/fault.ts';
import { compileFilter, type CompiledFilter, type Verdict } from '../../functions/where/filter.ts';
import type { ChangeFacts } from '../../functions/where/scope.ts';
import type { PlacedFilter, SinkSettings } from '../settings.ts';

/** The filters of one relation: the sink's, and the table's own. */
export type TableFilter = { judge(event: RowEvent, change: ChangeFacts): Verdict };

export const hasFilter = ({ where, tables }: Pick<SinkSettings, 'where' | 'tables'>): boolean =>
  where !== undefined || tables.some((table) => table.where !== undefined);

/** The sink's, and the table's own, under the name that the sink reads the table by. */
export const filtersFor = (
  name: TableName,
  { where, tables }: Pick<SinkSettings, 'where' | 'tables'>,
): readonly PlacedFilter[] => [where, optionsFor(name, tables)?.where].flatMap((filter) => filter ?? []);

/** Throws TailraceError (fatal) where a filter has no meaning for the relation. */
export function compileTableFilter(
  relation: Relation,
  filters: readonly PlacedFilter[],
): TableFilter | undefined {
  const compiled = filters.map((filter) => compiledFor(relation, filter));
  const [only] = compiled;
  if (only === undefined || compiled.length === 1) return only;
  return {
    judge: (event, change) => {
      let verdict: Verdict = 'pass';
      for (const filter of compiled) {
        const found = filter.judge(event, change);
        if (found === 'drop') return found;
        if (found === 'absent') verdict = found;
      }
      return verdict;
    },
  };
}

function compiledFor(relation: Relation, filter: PlacedFilter): CompiledFilter {
  try {
    return compileFilter(filter, relation);
  } catch (error) {
    if (!(error instanceof WhereRefusal)) throw error;
    const { line, column } = lineAndColumn(filter.text, error.fault.at);
    throw new TailraceError(
      `${filter.place} cannot be used for ${relation.schema}.${relation.table}, as its columns are at this change: line ${line}, column ${column} of it: ${error.message}`,
      {
        code: 'WHERE_UNUSABLE',
        kind: 'fatal',
        hint: 'change the filter (or give the table one of its own under tables), and start again; nothing is lost meanwhile',
      },
    );
  }
}

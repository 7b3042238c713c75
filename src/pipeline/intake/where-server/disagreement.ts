// What is said of a filter that a server understands otherwise.
import { TailraceError } from '../../../core/errors.ts';
import { formatTableName, type TableName } from '../../../core/selection.ts';
import { lineAndColumn } from '../../../functions/where/fault.ts';
import type { PlacedFilter } from '../../settings.ts';
import type { Compared } from './comparison.ts';

export type Disagreeing = Extract<Compared, { readonly kind: 'refused' | 'differs' }>;

export const DISAGREEMENT_CODES = { refused: 'WHERE_REFUSED', differs: 'WHERE_DISAGREES' } as const;

const CURE = 'change the filter';

export function wordsOf(
  { place, text }: PlacedFilter,
  { kind, at, message }: Disagreeing,
): { readonly detail: string; readonly cure: string } {
  const { line, column } = lineAndColumn(text, at);
  const what = kind === 'refused' ? 'Postgres refuses it' : 'Postgres means something else';
  return { detail: `${place}: line ${line}, column ${column} of it: ${what}: ${message}`, cure: CURE };
}

/** Halts the sink: what it would send is not what was asked for. */
export function disagreementError(
  filter: PlacedFilter,
  table: TableName,
  compared: Disagreeing,
): TailraceError {
  const { detail, cure } = wordsOf(filter, compared);
  return new TailraceError(`filter for ${formatTableName(table)}: ${detail}`, {
    code: DISAGREEMENT_CODES[compared.kind],
    kind: 'fatal',
    hint: `${cure}, and start again; nothing is lost meanwhile`,
  });
}

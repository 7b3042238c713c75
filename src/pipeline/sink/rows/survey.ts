// What a log holds of the rows that a sink is to be sent again: which rows these are, how many changes, since when. Nothing is sent.
import type { TableName } from '../../../core/selection.ts';
import { openLogReader } from '../../../log/reader.ts';
import type { PlacedFilter } from '../../settings.ts';
import type { SinkOptions } from '../options.ts';
import { CountedRows, type Counts } from './counted-rows.ts';
import { MatchingRows } from './matching-rows.ts';
import { walkRetained } from './retained.ts';

/** Rows of a table: by their keys, or those of which a change is retained that the filter is true of, as the row is behind it or was before. */
export type RowChoice = TableName & {
  /** Names of the columns that rows are told apart by. */
  readonly key: readonly string[];
} & ({ readonly keys: readonly (readonly string[])[] } | { readonly filter: PlacedFilter });

export type Surveyed = Counts & {
  readonly keys: readonly (readonly string[])[];
  /** Changes of which the filter cannot say: Postgres did not send what decides it, or it is an error for them. */
  readonly unjudged: number;
};

type Surveying = Pick<SinkOptions, 'settings' | 'logDirectory' | 'signals'>;

/** Rejects with TailraceError: TOO_MANY_ROWS, WHERE_UNUSABLE. */
export async function surveyRows(
  choice: RowChoice,
  { settings, logDirectory, signals }: Surveying,
  signal: AbortSignal,
): Promise<Surveyed> {
  const partings = signals.partings();
  const reader = openLogReader(logDirectory, signals);
  const log = { reader, end: signals.writtenEnd() };
  try {
    const { schema, table, key } = choice;
    const matching =
      'filter' in choice ? new MatchingRows(choice, choice.filter, { settings, partings }) : undefined;
    if (matching !== undefined) await walkRetained(matching.ports, log, signal);
    const keys = 'filter' in choice ? matching!.found() : choice.keys;
    const counted = new CountedRows({ schema, table, key, keys }, { settings, partings });
    if (keys.length > 0) await walkRetained(counted.ports, log, signal);
    return { keys, ...counted.sum(keys), unjudged: matching?.unjudged ?? 0 };
  } finally {
    reader.close();
  }
}

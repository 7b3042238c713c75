// From which position of the WAL on tables are streamed: said, and remembered.
import type { Client } from 'pg';
import type { Logger } from 'pino';
import { wallTime } from '../../core/clock.ts';
import { formatTableName, type TableName } from '../../core/selection.ts';
import type { SinkNames } from '../../core/wanted-names.ts';
import type { StreamedTable } from '../../core/status.ts';
import type { Target } from '../../postgres/connection/connection.ts';
import type { Alteration } from '../../postgres/preflight/publication-changes.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import type { SourceState } from './status.ts';

export type TablePorts = {
  readonly client: Client;
  readonly target: Target;
  readonly settings: DatabaseSettings;
  readonly selections: readonly SinkNames[];
  readonly state: SourceState;
  readonly logger: Logger;
  /** Remembers from where on tables are streamed. */
  readonly streamed: (tables: readonly StreamedTable[]) => void;
  /** The publication's own row was altered, by us. */
  readonly altered: (alteration: Alteration) => void;
};

/** Says and remembers that these tables are streamed from this position of the WAL on (LSN text). */
export function recordStreamed(
  tables: readonly TableName[],
  from: string,
  { settings, state, logger, streamed }: Pick<TablePorts, 'settings' | 'state' | 'logger' | 'streamed'>,
): void {
  if (tables.length === 0) return;
  const at = wallTime().toISOString();
  const records = tables.map(({ schema, table }): StreamedTable => ({ schema, table, from, at }));
  streamed(records);
  state.addStreamed(records);
  logger.info(
    {
      database: settings.name,
      from,
      count: tables.length,
      tables: tables.slice(0, MAX_NAMED).map(formatTableName),
    },
    'tables joined the publication: what transactions that begin after this position change is streamed',
  );
}

/** Of many tables, this many are named in a log line. */
const MAX_NAMED = 20;

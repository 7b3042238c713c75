// The rows of the model as they stand in a log.
import { createRowEvent, type Relation } from '../../src/core/change.ts';
import { ZERO_LSN } from '../../src/core/lsn.ts';
import { ORIGIN } from '../../src/core/position.ts';
import { openLogReader } from '../../src/log/reader.ts';
import type { LogSignals } from '../../src/log/signals.ts';
import { decodeRow } from '../../src/pgoutput/messages.ts';
import { LogWalker, type LoggedRow, type WalkPorts } from '../../src/pipeline/intake/log-walker.ts';

export type NamedRow = { readonly id: number; readonly table: string; readonly key: string };

/** Knows the relations that were read so far. */
export class RowReader {
  readonly #tables = new Map<number, Relation>();
  readonly #event = createRowEvent();

  /** What a walker that is interested in rows alone tells. */
  ports(row: (row: LoggedRow, named: NamedRow) => void): WalkPorts {
    return {
      marker: (transaction) => transaction,
      markersLost: () => undefined,
      committed: () => undefined,
      relation: (relation) => void this.#tables.set(relation.id, relation),
      row: (logged) => row(logged, this.#named(logged)),
      truncate: () => undefined,
      oversize: () => undefined,
      reads: () => undefined,
      letIn: () => true,
    };
  }

  #named(row: LoggedRow): NamedRow {
    const { table } = this.#tables.get(row.relationId)!;
    decodeRow(row.bytes, row.start, row.end, this.#event);
    const { starts, lengths } = this.#event.newTuple;
    const text = (column: number): string =>
      row.bytes.toString('latin1', starts[column], starts[column]! + lengths[column]!);
    return { id: Number(text(0)), table, key: `${table}:${text(1)}` };
  }
}

/** All that a log holds now. */
export async function rowsIn(directory: string, signals: LogSignals): Promise<ReadonlySet<number>> {
  const ids = new Set<number>();
  const reader = openLogReader(directory, signals);
  const stopping = new AbortController();
  const offset = signals.firstOffset();
  const ports = new RowReader().ports((_, { id }) => void ids.add(id));
  const walker = new LogWalker(
    'rows',
    { position: { ...ORIGIN, index: 0 }, endLsn: ZERO_LSN, offset },
    ports,
  );
  try {
    for await (const block of reader.read('earliest', stopping.signal)) {
      void walker.block(block, stopping.signal);
      if (block.blockEnd >= signals.writtenEnd()) break;
    }
  } finally {
    stopping.abort();
    reader.close();
  }
  return ids;
}

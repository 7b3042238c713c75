// The keys of rows that a lost history had changed, as far as the log still has that history: what a consumer has of them may be wrong.
import type { Relation } from '../../../core/change.ts';
import { createRowEvent } from '../../../core/change.ts';
import { isLost, type Partings } from '../../../core/partings.ts';
import type { TableName } from '../../../core/selection.ts';
import { openLogReader } from '../../../log/reader.ts';
import { decodeRow } from '../../../pgoutput/messages.ts';
import { asRead, joined } from '../../../pgoutput/row-keys.ts';
import type { LoggedRow } from '../../intake/log-walker.ts';
import type { SinkOptions } from '../options.ts';
import { keyIndexes, keysOf } from './followed-rows.ts';
import { MAX_FOLLOWED_ROWS } from './matching-rows.ts';
import { ONLOOKER, walkRetained } from './retained.ts';

export type LostKeys = {
  /** Has the log all of what is lost? Else nobody knows which rows, and of which tables. */
  readonly isRetained: boolean;
  /** Under the names that they were logged by. */
  readonly tables: readonly LostTable[];
};

export type LostTable = TableName & {
  /** Names of the columns. */
  readonly key: readonly string[];
  /** Null: any row may be meant. */
  readonly keys: readonly (readonly string[])[] | null;
};

type Found = TableName & { readonly key: readonly string[]; keys: Map<string, readonly string[]> | null };

/** Of what is lost by these. */
export async function findLostKeys(
  partings: Partings,
  { logDirectory, signals }: Pick<SinkOptions, 'logDirectory' | 'signals'>,
  signal: AbortSignal,
): Promise<LostKeys> {
  const reader = openLogReader(logDirectory, signals);
  try {
    const first = reader.firstPosition();
    const isRetained = partings.every(({ epoch, lsn }) => first.epoch < epoch && first.commitLsn < lsn);
    const found = new LostTables(partings);
    await walkRetained(found.ports, { reader, end: signals.writtenEnd() }, signal);
    return { isRetained, tables: found.all() };
  } finally {
    reader.close();
  }
}

class LostTables {
  readonly #partings: Partings;
  readonly #relations = new Map<number, Relation>();
  readonly #found = new Map<string, Found>();
  readonly #event = createRowEvent();

  constructor(partings: Partings) {
    this.#partings = partings;
  }

  all(): readonly LostTable[] {
    return [...this.#found.values()].map(({ schema, table, key, keys }) => ({
      schema,
      table,
      key,
      keys: keys === null ? null : [...keys.values()],
    }));
  }

  readonly ports = {
    ...ONLOOKER,
    relation: (relation: Relation): void => void this.#relations.set(relation.id, relation),
    reads: (relation: Relation): void => void this.#relations.set(relation.id, relation),
    row: (row: LoggedRow): void => this.#row(row),
    truncate: (row: LoggedRow): void => this.#any(row),
    oversize: (row: LoggedRow): void => this.#any(row),
  };

  #of({
    relationId,
    transaction,
  }: LoggedRow): { readonly found: Found; readonly relation: Relation } | undefined {
    if (!isLost(this.#partings, transaction)) return undefined;
    const relation = this.#relations.get(relationId)!;
    const { schema, table, key } = relation;
    const name = JSON.stringify([schema, table]);
    const found = this.#found.get(name) ?? { schema, table, key, keys: new Map() };
    this.#found.set(name, found);
    // Another key meanwhile: which rows they were, nobody can say of both.
    if (found.key.join() !== key.join()) found.keys = null;
    return { found, relation };
  }

  #row(row: LoggedRow): void {
    const lost = this.#of(row);
    if (lost === undefined || lost.found.keys === null) return;
    const { found, relation } = lost;
    const indexes = keyIndexes(relation, found.key);
    decodeRow(row.bytes, row.start, row.end, this.#event);
    const keys = indexes === undefined ? [] : keysOf(this.#event, indexes);
    for (const key of keys) lost.found.keys.set(joined(key), asRead(key));
    if (keys.length === 0 || lost.found.keys.size > MAX_FOLLOWED_ROWS) found.keys = null;
  }

  #any(row: LoggedRow): void {
    const lost = this.#of(row);
    if (lost !== undefined) lost.found.keys = null;
  }
}

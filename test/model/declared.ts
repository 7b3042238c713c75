// The gaps on record over the whole life of a model: each explains only what had been committed while it was noted.
import { concerns, type Gap } from '../../src/core/gaps.ts';
import { parseLsn, ZERO_LSN, type Lsn } from '../../src/core/lsn.ts';
import type { Selection } from '../../src/core/selection.ts';
import { DATABASE } from './process-options.ts';
import type { Row, Transaction } from './server-state.ts';
import type { ModelStore } from './store.ts';

/** A gap as it stood on record. */
type Declared = {
  readonly from: Lsn;
  readonly to: Lsn | undefined;
  readonly tables: Gap['tables'];
  /** Undefined: of every sink. */
  readonly sink: string | undefined;
  readonly commits: number;
  readonly cause: string;
};

/** `goesOn`: it explains what is committed until it is noted for the last time. */
type OnRecord = Omit<Declared, 'commits'> & { readonly key: string; readonly goesOn: boolean };

export class DeclaredGaps {
  readonly #declared = new Map<string, Declared>();
  /** As long as nobody has written to the store. */
  #read:
    | {
        readonly store: ModelStore;
        readonly writes: number;
        readonly sinks: number;
        readonly gaps: readonly OnRecord[];
      }
    | undefined;

  get size(): number {
    return this.#declared.size;
  }

  /** Takes down what is on record now, that many commits having been made. */
  note(store: ModelStore, sinks: readonly string[], commits: number): void {
    const { writes } = store;
    if (this.#read?.store !== store || this.#read.writes !== writes || this.#read.sinks !== sinks.length) {
      this.#read = {
        store,
        writes,
        sinks: sinks.length,
        gaps: [...onRecord(store), ...sinks.flatMap((sink) => ofSink(store, sink))],
      };
    }
    for (const { key, goesOn, ...declared } of this.#read.gaps) {
      if (goesOn || !this.#declared.has(key)) this.#declared.set(key, { ...declared, commits });
    }
  }

  /** Does a gap say that this row may be missing in this sink? */
  names(row: Row, { commitLsn, number }: Transaction, sink: string): boolean {
    const selection: Selection = { includeTables: [{ schema: ['public'], table: [row.table] }] };
    return this.#declared
      .values()
      .some(
        (gap) =>
          (gap.sink === undefined || gap.sink === sink) &&
          number <= gap.commits &&
          commitLsn >= gap.from &&
          (gap.to === undefined || commitLsn <= gap.to) &&
          (gap.tables === undefined || concerns({ tables: gap.tables }, { name: sink, selection })),
      );
  }

  describe(): string[] {
    return [...this.#declared.values()].map(
      ({ from, to, tables, sink, cause, commits }) =>
        `gap ${from}..${to ?? ''} of ${tables?.map(({ table }) => table).join() ?? 'all'} ${sink ?? ''} (${cause}), by commit ${commits}`,
    );
  }
}

const onRecord = (store: ModelStore): OnRecord[] =>
  store.gaps.list(DATABASE, { after: 0, limit: 1000 }).map((gap) => {
    const { from, to, tables, cause, skips, acceptedAt } = gap;
    return {
      key: `${gap.since} ${gap.id} ${from} ${to} ${tables?.length}`,
      from: lsn(from),
      to: to === undefined ? undefined : lsn(to),
      tables,
      sink: gap.sink,
      cause,
      // Nothing of that range is read before somebody has accepted it.
      goesOn: to === undefined || (skips && acceptedAt === undefined),
    };
  });

const ofSink = (store: ModelStore, sink: string): OnRecord[] =>
  store.sinks.gaps({ database: DATABASE, sink }).map(({ from, to, reason }) => ({
    key: `${sink} ${from} ${to} ${reason}`,
    from: lsn(from),
    to: lsn(to),
    tables: undefined,
    sink,
    cause: reason,
    goesOn: false,
  }));

const lsn = (text: string): Lsn => parseLsn(text) ?? ZERO_LSN;

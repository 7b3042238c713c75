// The gaps on record over the whole life of a model: each explains only what had been committed while it was noted.
import { concerns, type Gap } from '../../src/core/gaps.ts';
import { parseLsn, ZERO_LSN, type Lsn } from '../../src/core/lsn.ts';
import type { Selection } from '../../src/core/selection.ts';
import type { Store } from '../../src/store/sqlite.ts';
import { DATABASE } from './process-options.ts';
import type { Row, Transaction } from './server-state.ts';

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

export class DeclaredGaps {
  readonly #declared = new Map<string, Declared>();

  get size(): number {
    return this.#declared.size;
  }

  /** Takes down what is on record now, that many commits having been made. */
  note(store: Store, sinks: readonly string[], commits: number): void {
    const note = (
      key: string,
      declared: Omit<Declared, 'commits'>,
      goesOn = declared.to === undefined,
    ): void => {
      const known = this.#declared.get(key);
      if (known === undefined || goesOn) this.#declared.set(key, { ...declared, commits });
    };
    for (const gap of store.gaps.list(DATABASE, { after: 0, limit: 1000 })) {
      const { from, to, tables, cause, skips, acceptedAt } = gap;
      // Nothing of that range is read before somebody has accepted it.
      const goesOn = to === undefined || (skips && acceptedAt === undefined);
      const range = { from: lsn(from), to: to === undefined ? undefined : lsn(to) };
      const key = `${gap.since} ${gap.id} ${from} ${to} ${tables?.length}`;
      note(key, { ...range, tables, sink: undefined, cause }, goesOn);
    }
    for (const sink of sinks) {
      for (const { from, to, reason } of store.sinks.gaps({ database: DATABASE, sink })) {
        const range = { from: lsn(from), to: lsn(to) };
        note(`${sink} ${from} ${to} ${reason}`, { ...range, tables: undefined, sink, cause: reason });
      }
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

const lsn = (text: string): Lsn => parseLsn(text) ?? ZERO_LSN;

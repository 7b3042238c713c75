// What is wrong with a table's identity in words, and the SQL that mends it: each names the table that it mends.
import { formatTableName } from '../../core/selection.ts';
import type { IdentityFault, WantedTable } from './tables.ts';
import { quoteTable } from '../quoting.ts';

/** Of many partitions with a fault, this many are named. */
const MAX_NAMED = 3;

/** Why its updates fail, or would. */
export function describeFault({ kind, identity }: IdentityFault): string {
  switch (kind) {
    case 'nothing':
      return 'its replica identity is NOTHING';
    case 'none':
      return identity === 'index'
        ? 'the index of its replica identity is gone'
        : 'it has no primary key and no replica identity';
    case 'stored':
      return 'its replica identity has a stored generated column, which the publication does not send';
    case 'virtual':
      return 'its replica identity has a virtual generated column, which no publication can send';
    default:
      return kind satisfies never;
  }
}

/** What is wrong with a table that a publication should carry; its partitions by name. */
export function describeFaults(state: WantedTable, faults: readonly IdentityFault[]): string {
  if (faults.length === 0) {
    const why = state.deferrable ? 'its primary key is deferrable' : 'it has no primary key';
    return `${why}, so a partition that is made later would have no identity`;
  }
  if (!state.partitioned) return describeFault(faults[0]!);
  const named = faults
    .slice(0, MAX_NAMED)
    .map((fault) => `of its partition ${formatTableName(fault)}, ${describeFault(fault)}`);
  return `${named.join('; ')}${more(faults.length)}`;
}

const more = (count: number): string => (count > MAX_NAMED ? ` (and of ${count - MAX_NAMED} more)` : '');

/** The SQL that makes a table fit for a publication of ours. */
export function cureOf(state: WantedTable, faults: readonly IdentityFault[] = state.faults): string {
  if (faults.length > 0) {
    return faults.slice(0, MAX_NAMED).map(cureOfFault).join(' and ') + more(faults.length);
  }
  // Of several primary keys only one is allowed, whatever it is good for.
  const byKey =
    state.foreign || state.deferrable ? '' : `ALTER TABLE ${quoteTable(state)} ADD PRIMARY KEY (…); or `;
  return `${byKey}partitions_have_identity: true in the sink, where whatever makes partitions gives each an identity of its own`;
}

function cureOfFault(fault: IdentityFault): string {
  const table = `ALTER TABLE ${quoteTable(fault)}`;
  const { key, identity, mayBeFull } = fault;
  const byKey =
    key === 'deferrable'
      ? []
      : [
          (key === 'none' ? `${table} ADD PRIMARY KEY (…);` : '') +
            (key === 'none' && identity !== 'default' ? ' ' : '') +
            (identity === 'default' ? '' : `${table} REPLICA IDENTITY DEFAULT;`),
        ];
  const byAll = mayBeFull && identity !== 'full' ? [`${table} REPLICA IDENTITY FULL;`] : [];
  const cures = [...byKey, ...byAll];
  return cures.length > 0
    ? cures.join(' or ')
    : `${table} REPLICA IDENTITY USING INDEX …; (a unique index that is not deferrable, of columns that are NOT NULL)`;
}

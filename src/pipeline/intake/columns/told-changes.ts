// What updates tell of the columns of `only_when_changed`: which leave them as they were, and whether a table's updates say so at all.
import type { Relation, RowEvent } from '../../../core/change.ts';
import { TailraceError } from '../../../core/errors.ts';
import { formatTableName, type TableName } from '../../../core/selection.ts';
import { leavesUnchanged, untoldChanges } from '../../../functions/columns/changed.ts';
import type { ColumnRules } from '../../../functions/columns/rules.ts';
import { quoteTable } from '../../../postgres/quoting.ts';
import { keyChange } from '../group-key.ts';

/** Undefined: every update is sent. One that changes the key always is: whoever keeps rows by it must know. */
export function unchangedRule(
  relation: Relation,
  rules: ColumnRules | undefined,
): ((event: RowEvent) => boolean) | undefined {
  if (rules?.onlyWhenChanged === undefined) return undefined;
  const isUnchanged = leavesUnchanged(relation, rules.onlyWhenChanged.columns);
  const changesKey = keyChange(relation) ?? (() => false);
  return (event) => isUnchanged(event) && !changesKey(event);
}

/**
 * Throws TailraceError (fatal) where updates do not tell whether the columns changed, and that is not taken as it is. The rows of a
 * partitioned table tell what their partitions do. `table`: that holds the rows.
 */
export function expectTold(relation: Relation, rules: ColumnRules | undefined, table: TableName): void {
  const { columns, whenUnknown } = rules?.onlyWhenChanged ?? {};
  if (columns === undefined || whenUnknown === 'send' || relation.partitioned === true) return;
  const untold = untoldChanges(relation, columns);
  if (untold.length === 0) return;
  throw new TailraceError(
    `${rules!.place}: only_when_changed names ${untold.join(', ')}, and an update of ${formatTableName(table)} comes without their old values: its replica identity does not have them`,
    {
      code: 'CHANGES_UNTOLD',
      kind: 'fatal',
      hint: `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL; has them sent from then on; \`when_unknown: send\` in only_when_changed sends what cannot be judged, such as updates from before that`,
    },
  );
}

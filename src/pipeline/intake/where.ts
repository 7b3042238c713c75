// The step `where`: which changes a sink's filters let through, and what becomes of one that cannot be judged.
// Hot file: runs for every wanted row of a sink with a filter (bench/micro/where.ts).
import type { SinkCounts } from '../../core/counts.ts';
import type { DeliveryError } from '../../core/errors.ts';
import type { Verdict } from '../../functions/where/filter.ts';
import type { ChangeFacts } from '../../functions/where/scope.ts';
import { EvaluationError } from '../../functions/where/values/failure.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import type { SinkSettings } from '../settings.ts';
import type { RowBatch, Step, WantedRow } from './steps.ts';
import type { TableFilter } from './table-filter.ts';

/** Undefined: the sink has no filter, and pays nothing for it. */
export function whereStep(
  settings: Pick<SinkSettings, 'where' | 'tables' | 'onAbsent' | 'deletesOutside'>,
  counts: SinkCounts,
): Step | undefined {
  if (settings.where === undefined && settings.tables.every(({ where }) => where === undefined))
    return undefined;
  const drop = (rows: RowBatch, row: WantedRow): void => {
    rows.drop(row);
    counts.filtered++;
  };
  return (rows) => {
    for (const row of rows) {
      const { filter } = row.plan;
      if (filter === undefined) continue;
      const verdict = judged(filter, rows, row);
      if (verdict === 'pass') continue;
      if (verdict === 'drop') drop(rows, row);
      else if (verdict !== 'absent') row.refusal = verdict;
      else decideAbsent(row, settings, () => drop(rows, row));
    }
  };
}

/** One is enough: it is filled again for each row. */
const CHANGE: { -readonly [Key in keyof ChangeFacts]: ChangeFacts[Key] } = {
  action: 'insert',
  schema: '',
  table: '',
  commitTimeUs: 0n,
  annotations: undefined,
};

function judged(filter: TableFilter, rows: RowBatch, row: WantedRow): Verdict | DeliveryError {
  CHANGE.action = actionOf(row);
  CHANGE.schema = row.plan.schema;
  CHANGE.table = row.plan.table;
  CHANGE.commitTimeUs = row.transaction.commitTimeUs;
  CHANGE.annotations = row.transaction.annotations;
  try {
    return filter.judge(rows.read(row), CHANGE);
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    return refusal('WHERE_ERROR', row, `where cannot be evaluated for this row: ${error.message}`);
  }
}

/** Of a delete the absence is certain, of other changes an accident. */
function decideAbsent(
  row: WantedRow,
  { onAbsent, deletesOutside }: Pick<SinkSettings, 'onAbsent' | 'deletesOutside'>,
  drop: () => void,
): void {
  const policy = row.kind === FRAME.delete ? deletesOutside : onAbsent;
  switch (policy) {
    case 'deliver':
      return;
    case 'drop':
      return drop();
    case 'dead_letter':
      row.refusal = refusal(
        'WHERE_ABSENT',
        row,
        'where needs a value that Postgres did not send, a large one that did not change; with REPLICA IDENTITY FULL on the table it is sent, and on_absent says what else becomes of such changes',
      );
      return;
    default:
      policy satisfies never;
  }
}

const refusal = (code: string, row: WantedRow, what: string): DeliveryError => ({
  kind: 'rejected',
  scope: 'message',
  code,
  hint: `${actionOf(row)} of ${row.plan.schema}.${row.plan.table}: ${what}`,
});

const actionOf = ({ kind }: WantedRow): ChangeFacts['action'] => ACTIONS[kind] ?? 'delete';

const ACTIONS: Readonly<Record<number, ChangeFacts['action']>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.read]: 'read',
};

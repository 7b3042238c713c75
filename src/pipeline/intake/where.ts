// The step `where`: which changes a sink's filters let through, and what becomes of one that cannot be judged.
// Hot file: runs for every wanted row of a sink with a filter (bench/micro/where.ts).
import type { Moved, RowEvent } from '../../core/change.ts';
import { steadyMs } from '../../core/clock.ts';
import { TailraceError, type DeliveryError } from '../../core/errors.ts';
import { formatTableName } from '../../core/selection.ts';
import type { Verdict } from '../../functions/where/filter.ts';
import type { ChangeFacts } from '../../functions/where/scope.ts';
import { UnknownLabel, type EnumPlaces } from '../../functions/where/values/enums.ts';
import { EvaluationError } from '../../functions/where/values/failure.ts';
import { FRAME } from '../../pgoutput/frames.ts';
import { quoteTable } from '../../postgres/quoting.ts';
import type { SinkSettings } from '../settings.ts';
import { AbsentRate, MAX_ABSENT_LETTERS } from './absent-rate.ts';
import { moveOf, SENT_AS } from './moved-rows.ts';
import type { RowBatch, Step, WantedRow } from './steps.ts';
import { hasFilter, type TableFilter } from './table-filter.ts';

export type WherePorts = {
  /** Never set back; default: the process'. */
  readonly nowMs?: (() => number) | undefined;
  /** Asks the catalog for the labels of an enum, once; without it an unknown one is an error at once. */
  readonly lookUp?: ((places: EnumPlaces) => Promise<void>) | undefined;
};

/** Undefined: the sink has no filter, and pays nothing for it. */
export function whereStep(
  settings: Pick<SinkSettings, 'name' | 'where' | 'tables' | 'onAbsent' | 'deletesOutside'>,
  { nowMs = steadyMs, lookUp }: WherePorts = {},
): Step | undefined {
  if (!hasFilter(settings)) return undefined;
  const rate = new AbsentRate(nowMs);
  /** `from`: the row that it stopped at; those before it have been judged. */
  const judge = (rows: RowBatch, from?: WantedRow): void | Promise<void> => {
    let isPast = from === undefined;
    for (const row of rows) {
      isPast ||= row === from;
      if (!isPast) continue;
      const { filter, filterFault } = row.plan;
      if (filterFault !== undefined) row.refusal = refusal(filterFault.code, row, filterFault.message);
      if (filter === undefined) continue;
      const verdict = judged(filter, rows, row, lookUp !== undefined);
      if (verdict instanceof UnknownLabel) return lookUp!(verdict.places).then(() => judge(rows, row));
      if (typeof verdict === 'object') {
        row.refusal = verdict;
        continue;
      }
      if (verdict === 'out' || verdict === 'in') {
        row.verdict = verdict === 'in' ? 'pass' : 'drop';
        if (row.plan[SENT_AS[verdict]] === undefined) rows.drop(row, 'where');
        else row.moved = verdict;
        continue;
      }
      row.verdict = verdict;
      if (verdict === 'drop') rows.drop(row, 'where');
      else if (verdict === 'absent') {
        const policy = policyFor(actionOf(row), settings);
        if (policy === 'drop') rows.drop(row, 'where');
        else if (policy === 'dead_letter' && !rate.takes())
          return rows.haltAt(row, tooManyAbsent(row, settings.name));
        else if (policy === 'dead_letter') row.refusal = refusal('WHERE_ABSENT', row, ABSENT_HINT);
      }
    }
  };
  return (rows) => judge(rows);
}

/** One is enough: it is filled again for each row. */
const CHANGE: { -readonly [Key in keyof ChangeFacts]: ChangeFacts[Key] } = {
  action: 'insert',
  schema: '',
  table: '',
  commitTimeUs: 0n,
  annotations: undefined,
};

/** `asks`: a label of an enum that is not known is looked up. */
function judged(
  filter: TableFilter,
  rows: RowBatch,
  row: WantedRow,
  asks: boolean,
): Verdict | Moved | DeliveryError | UnknownLabel {
  CHANGE.action = actionOf(row);
  CHANGE.schema = row.plan.schema;
  CHANGE.table = row.plan.table;
  CHANGE.commitTimeUs = row.transaction.commitTimeUs;
  CHANGE.annotations = row.transaction.annotations;
  try {
    return verdictOn(filter, rows.read(row), CHANGE, row.plan.movesByFilter);
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    if (asks && error instanceof UnknownLabel) return error;
    return refusal('WHERE_ERROR', row, `where cannot be evaluated for this row: ${error.message}`);
  }
}

/** `moves`: an update may take its row out of what the filter names, or into it. */
function verdictOn(
  filter: TableFilter,
  event: RowEvent,
  change: ChangeFacts,
  moves: boolean,
): Verdict | Moved {
  const isUpdate = event.action === 'update';
  const verdict = filter.judge(event, change);
  return moves && isUpdate ? moveOf(judgedBefore(filter, event, change), verdict) : verdict;
}

/**
 * Does the row as it was before an update pass? As the delete of it would. Where that is an error, nobody knows of it: the row as it is
 * now may pass all the same.
 */
function judgedBefore(filter: TableFilter, event: RowEvent, change: ChangeFacts): Verdict {
  event.action = 'delete';
  try {
    return filter.judge(event, change);
  } catch (error) {
    // Who can find out what it is should do so before it counts as unknown.
    if (!(error instanceof EvaluationError) || error instanceof UnknownLabel) throw error;
    return 'absent';
  } finally {
    event.action = 'update';
  }
}

/** Is a filter true of the row as a change leaves it, or as it was before? Throws EvaluationError where the row as it is now cannot be judged. */
export function passesNowOrBefore(filter: TableFilter, event: RowEvent, change: ChangeFacts): Verdict {
  const now = filter.judge(event, change);
  if (now === 'pass' || change.action !== 'update') return now;
  return judgedBefore(filter, event, change) === 'pass' ? 'pass' : now;
}

/**
 * Asked of a change that is not on its way any more: does the filter keep it from the sink? One that fails for it does not. `isUnchanged`:
 * it is kept out for what it leaves as it was, but where its row moves.
 */
export function isKeptOut(
  filter: TableFilter,
  event: RowEvent,
  change: ChangeFacts,
  settings: AbsentPolicies & Pick<SinkSettings, 'whereMoves'>,
  isUnchanged: boolean,
): boolean {
  try {
    const verdict = verdictOn(filter, event, change, settings.whereMoves === 'convert');
    if (verdict === 'in' || verdict === 'out') return false;
    return (
      isUnchanged ||
      verdict === 'drop' ||
      (verdict === 'absent' && policyFor(change.action, settings) === 'drop')
    );
  } catch (error) {
    if (error instanceof EvaluationError) return isUnchanged;
    throw error;
  }
}

type AbsentPolicies = Pick<SinkSettings, 'onAbsent' | 'deletesOutside'>;

/** Of a delete the absence is certain, of other changes an accident. */
const policyFor = (
  action: ChangeFacts['action'],
  { onAbsent, deletesOutside }: AbsentPolicies,
): SinkSettings['onAbsent'] => (action === 'delete' ? deletesOutside : onAbsent);

const ABSENT_HINT =
  'where needs a value that Postgres did not send, a large one that did not change; with REPLICA IDENTITY FULL on the table it is sent, and on_absent says what else becomes of such changes';

/** It waits until somebody says that it goes on: each try would make as many again. */
function tooManyAbsent({ plan }: WantedRow, sink: string): TailraceError {
  const table = plan.partition ?? plan;
  return new TailraceError(
    `more than ${MAX_ABSENT_LETTERS} changes within a minute cannot be judged by where, the last one of ${formatTableName(table)}: a large value that it needs did not change, and Postgres did not send it again`,
    {
      code: 'WHERE_ABSENT_TOO_OFTEN',
      kind: 'fatal',
      mend: 'resume',
      hint: `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL; has such values sent from now on, on_absent says what else becomes of such changes; then \`tailrace resume ${sink}\` lets it go on`,
    },
  );
}

const refusal = (code: string, row: WantedRow, what: string): DeliveryError => ({
  kind: 'rejected',
  scope: 'message',
  code,
  hint: `${actionOf(row)} of ${row.plan.schema}.${row.plan.table}: ${what}`,
});

/** What a row in the log is. */
export const actionOf = ({ kind }: Pick<WantedRow, 'kind'>): ChangeFacts['action'] => ACTIONS[kind]!;

const ACTIONS: Readonly<Record<number, ChangeFacts['action']>> = {
  [FRAME.insert]: 'insert',
  [FRAME.update]: 'update',
  [FRAME.delete]: 'delete',
  [FRAME.read]: 'read',
};

// Does what a queue accepted agree with what was committed? Each difference is a fault of the bench run.
import type { QueueReport } from './endpoint/protocol.ts';
import type { ChangeCounts } from './load/mixed.ts';
import { changesIn } from './load/mixed.ts';

/** Sentences; none: everything came exactly once, in order. `isFiltered`: transactions have changes that the queue was not to have. */
export function accountingFaults(
  report: QueueReport,
  committed: ChangeCounts,
  { isFiltered = false }: { readonly isFiltered?: boolean } = {},
): string[] {
  const faults: string[] = [];
  const expect = (what: string, found: number, expected: number): void => {
    if (found !== expected) faults.push(`${found} ${what} instead of ${expected}`);
  };
  expect('changes', report.accepted, changesIn(committed));
  expect('inserts', report.inserts, committed.inserts);
  expect('updates', report.updates, committed.updates);
  expect('deletes', report.deletes, committed.deletes);
  expect('duplicates', report.duplicates, 0);
  expect('changes out of order', report.outOfOrder, 0);
  if (!isFiltered) expect('holes in transactions', report.missing, 0);
  expect('ambiguous keys', report.badKeys, 0);
  expect('unreadable messages', report.unreadable, 0);
  return faults;
}

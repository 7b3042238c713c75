// The bench's own accounting: what it must not overlook.
import { describe, expect, test } from 'vitest';
import { accountingFaults } from '../../bench/accounting-check.ts';
import { QueueAccounting } from '../../bench/endpoint/accounting.ts';
import { BenchQueue } from '../../bench/endpoint/queue.ts';

type Change = { id: number; lsn: number; index: number; action?: string };

const keyOf = ({ lsn, index }: Change): string => `stream-1-${lsn.toString(16)}-${index}`;

function bodyOf(change: Change): string {
  const { id, lsn, index, action = 'insert' } = change;
  const metadata = {
    table_name: 't',
    idempotency_key: keyOf(change),
    commit_timestamp: '2026-01-02T03:04:05.123456Z',
    commit_lsn: lsn,
    commit_idx: index,
    database_name: 'shop',
  };
  const note = 'text with "commit_lsn":7 in it';
  return JSON.stringify({ record: { id, note }, changes: null, action, metadata });
}

/** What the accounting finds wrong after these changes, each in the group of its row. */
function faultsAfter(changes: readonly Change[], expected = changes): string[] {
  const queue = new BenchQueue(process.cpuUsage());
  for (const change of changes)
    queue.accept(`public.t:${change.id}`, `${keyOf(change)}-sink`, bodyOf(change));
  const count = (action: string): number =>
    expected.filter((change) => (change.action ?? 'insert') === action).length;
  const committed = { inserts: count('insert'), updates: count('update'), deletes: count('delete') };
  return accountingFaults(queue.report(), committed);
}

const A: Change = { id: 1, lsn: 100, index: 0 };
const B: Change = { id: 2, lsn: 100, index: 1 };
const C: Change = { id: 1, lsn: 200, index: 0, action: 'update' };
const D: Change = { id: 1, lsn: 300, index: 0, action: 'delete' };

describe('the accounting of a queue', () => {
  test('finds nothing when every change came once, in any order of the rows', () => {
    expect(faultsAfter([B, A, C, D])).toEqual([]);
    expect(faultsAfter([A, C, D, B])).toEqual([]);
  });

  test('finds a change that came again', () => {
    expect(faultsAfter([A, B, A, C], [A, B, C])).toEqual(['1 duplicates instead of 0']);
  });

  test('finds a change that did not come, also where another count agrees', () => {
    expect(faultsAfter([A, B], [A, B, C])).toContain('2 changes instead of 3');
    const invented: Change = { id: 2, lsn: 100, index: 2 };
    expect(faultsAfter([A, invented], [A, B])).toEqual(['1 holes in transactions instead of 0']);
  });

  test('finds a later change of a row before an earlier one', () => {
    expect(faultsAfter([A, B, D, C])).toEqual(['1 changes out of order instead of 0']);
  });

  test('finds changes of one group out of order where groups are not rows', () => {
    const accounting = new QueueAccounting();
    for (const change of [A, C, B]) accounting.accept('everything', `${keyOf(change)}-sink`, bodyOf(change));
    expect(accounting.figures().outOfOrder).toBe(1);
  });

  test('finds a deduplication id that does not stand for its change', () => {
    const accounting = new QueueAccounting();
    accounting.accept('public.t:1', `${keyOf(A)}-sink`, bodyOf(A));
    accounting.accept('public.t:2', `${keyOf(A)}-sink`, bodyOf(B));
    expect(accounting.figures().badKeys).toBe(1);
  });

  test('finds two transactions with the same keys', () => {
    const accounting = new QueueAccounting();
    const impostor = bodyOf(C).replace(keyOf(C), keyOf(A));
    accounting.accept('public.t:1', `${keyOf(A)}-sink`, bodyOf(A));
    accounting.accept('public.t:1', `${keyOf(A)}-sink`, impostor);
    expect(accounting.figures().badKeys).toBe(1);
  });

  test('counts what is no message of a change', () => {
    const accounting = new QueueAccounting();
    accounting.accept('g', 'd', '{"hello":"world"}');
    expect(accounting.figures()).toMatchObject({ accepted: 0, unreadable: 1 });
  });

  test('reads the commit time to the microsecond', () => {
    const committedMs = new QueueAccounting().accept('public.t:1', keyOf(A), bodyOf(A));
    expect(committedMs).toBeCloseTo(Date.parse('2026-01-02T03:04:05Z') + 123.456, 3);
  });
});

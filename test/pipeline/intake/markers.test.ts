// What markers in the log mean to one sink: annotations, skipped changes, and the records of them.
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { toLsn, ZERO_LSN } from '../../../src/core/lsn.ts';
import type { SkippedTransaction } from '../../../src/core/status.ts';
import type { LogicalMessage } from '../../../src/pgoutput/messages.ts';
import type { PendingTransaction } from '../../../src/pipeline/delivery/pending.ts';
import { NO_MARKERS, SinkMarkers } from '../../../src/pipeline/intake/markers.ts';

const SET = 'tailrace:transaction_annotations.set';
const CLEAR = 'tailrace:transaction_annotations.clear';
const SKIP = 'tailrace:skip';

const transactionOf = (xid: number): PendingTransaction => ({
  epoch: 2,
  commitLsn: toLsn(BigInt(xid)),
  previousEndLsn: ZERO_LSN,
  commitTimeUs: 1_767_323_045_123_456n,
  xid,
  timeline: 1,
  key: `key-${xid}`,
});

const messageOf = (prefix: string, content: string | Buffer): LogicalMessage => ({
  transactional: true,
  lsn: ZERO_LSN,
  prefix,
  content: Buffer.from(content as string),
});

function harness(heedsSkips = true) {
  const writes: (readonly SkippedTransaction[])[] = [];
  const lines: { readonly level: number; readonly msg: string }[] = [];
  const markers = new SinkMarkers({
    sink: 'orders',
    heedsSkips,
    keep: (skipped) => writes.push(skipped),
    logger: pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line) as never) }),
  });
  return {
    markers,
    writes,
    warnings: () => lines.filter(({ level }) => level === 40).map(({ msg }) => msg),
    mark: (transaction: PendingTransaction, prefix: string, content: string | Buffer = '') =>
      markers.mark(transaction, messageOf(prefix, content)),
    /** A transaction of which the sink skips so many changes. */
    skipped: (xid: number, changes: number): void => {
      const transaction = markers.mark(transactionOf(xid), messageOf(SKIP, ''));
      transaction.skip!.changes = changes;
      markers.committed(transaction);
    },
  };
}

test('an annotation holds for what follows, until another takes its place or it is cleared', () => {
  const { mark, markers } = harness();
  const first = mark(transactionOf(7), SET, '{"by": "alice"}');
  expect(first).toEqual({ ...transactionOf(7), annotations: '{"by": "alice"}' });
  const second = mark(first, 'sequin:transaction_annotations.set', '{"by": "bob"}');
  expect(second.annotations).toBe('{"by": "bob"}');
  expect(first.annotations).toBe('{"by": "alice"}');
  expect(mark(second, CLEAR).annotations).toBeUndefined();
  expect(markers.status()).toEqual(NO_MARKERS);
});

test('an annotation that is no JSON clears the one before, is counted, and warned of once', () => {
  const { mark, markers, warnings } = harness();
  const annotated = mark(transactionOf(7), SET, '1');
  expect(mark(annotated, SET, '{"by":').annotations).toBeUndefined();
  expect(mark(annotated, SET, Buffer.from([0x22, 0xff, 0x22])).annotations).toBeUndefined();
  expect(markers.status()).toEqual({ ...NO_MARKERS, invalidAnnotations: 2 });
  expect(warnings()).toHaveLength(1);
});

test('a message of somebody else’s changes nothing', () => {
  const { mark, markers } = harness();
  const transaction = transactionOf(7);
  expect(mark(transaction, 'app:tailrace:skip', '')).toBe(transaction);
  expect(mark(transaction, `${SET}x`, '{}')).toBe(transaction);
  expect(markers.status()).toEqual(NO_MARKERS);
});

test.each([
  ['', true],
  ['orders', true],
  ['users, orders', true],
  ['["users","orders"]', true],
  ['users', false],
  ['["users"]', false],
  ['[]', false],
])('a skip for %j is heeded by the sink that it names, or by every one: %s', (content, isSkipped) => {
  const { mark, markers } = harness();
  expect(mark(transactionOf(7), SKIP, content).skip).toEqual(isSkipped ? { changes: 0 } : undefined);
  expect(markers.status()).toEqual(NO_MARKERS);
});

test('a skip that nobody can read, or that may not be heeded, skips nothing and is counted', () => {
  const deaf = harness(false);
  expect(deaf.mark(transactionOf(7), SKIP).skip).toBeUndefined();
  expect(deaf.markers.status()).toEqual({ ...NO_MARKERS, ignored: 1 });
  expect(deaf.warnings()).toEqual([]);
  expect(deaf.mark(transactionOf(7), SKIP, 'users').skip).toBeUndefined();
  expect(deaf.markers.status().ignored).toBe(1);

  const odd = harness();
  expect(odd.mark(transactionOf(7), SKIP, '["orders"').skip).toBeUndefined();
  expect(odd.markers.status()).toEqual({ ...NO_MARKERS, ignored: 1 });
  expect(odd.warnings()).toHaveLength(1);
});

test('a second skip and an annotation go on with the same count', () => {
  const { mark } = harness();
  const first = mark(transactionOf(7), SKIP);
  first.skip!.changes = 3;
  const annotated = mark(mark(first, SKIP), SET, '{}');
  expect(annotated.skip).toBe(first.skip);
});

test('a transaction of which something was skipped is on record once it is complete, and is written on demand', () => {
  const { markers, skipped, writes } = harness();
  skipped(7, 3);
  skipped(8, 0);
  markers.committed(transactionOf(9));
  const record = {
    xid: 7,
    epoch: 2,
    commitLsn: '0/7',
    changes: 3,
    committedAt: '2026-01-02T03:04:05.123Z',
  };
  expect(markers.status()).toEqual({
    ...NO_MARKERS,
    skippedTransactions: 1,
    skippedChanges: 3,
    lastSkipped: [record],
  });
  expect(writes).toEqual([]);
  markers.write();
  markers.write();
  expect(writes).toEqual([[record]]);
});

test('status names the last ten; a thousand records do not wait to be written', () => {
  const { markers, skipped, writes } = harness();
  for (let xid = 1; xid < 1000; xid++) skipped(xid, 1);
  expect(writes).toEqual([]);
  skipped(1000, 1);
  expect(writes.map(({ length }) => length)).toEqual([1000]);
  expect(markers.status().lastSkipped.map(({ xid }) => xid)).toEqual(
    Array.from({ length: 10 }, (_, i) => 991 + i),
  );
  expect(markers.status().skippedTransactions).toBe(1000);
  markers.write();
  expect(writes).toHaveLength(1);
});

test('records that could not be written are written with the next ones', () => {
  const broken = failing();
  expect(() => broken.markers.write()).toThrow('disk full');
  broken.mend();
  broken.markers.write();
  expect(broken.written.flat().map(({ xid }) => xid)).toEqual([7]);
});

/** A sink whose store refuses until it is mended, with one record to write. */
function failing() {
  let isBroken = true;
  const written: (readonly SkippedTransaction[])[] = [];
  const markers = new SinkMarkers({
    sink: 'orders',
    heedsSkips: true,
    keep(skipped) {
      if (isBroken) throw new Error('disk full');
      written.push(skipped);
    },
    logger: pino({ enabled: false }),
  });
  const transaction = markers.mark(transactionOf(7), messageOf(SKIP, ''));
  transaction.skip!.changes = 1;
  markers.committed(transaction);
  return { markers, written, mend: (): void => void (isBroken = false) };
}

test('markers that the log no longer has are warned of', () => {
  const { markers, warnings } = harness();
  markers.lost(transactionOf(7));
  expect(warnings()).toEqual([
    'the log begins inside a transaction and after its markers, which count no more',
  ]);
});

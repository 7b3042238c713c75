// What markers in the log mean to one sink: annotations for the messages that follow, and changes that it skips, with a record.
import type { Logger } from 'pino';
import { formatLsn } from '../../core/lsn.ts';
import { parseMarker } from '../../core/markers.ts';
import type { MarkerStatus, SkippedTransaction } from '../../core/status.ts';
import type { LogicalMessage } from '../../pgoutput/messages.ts';
import { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import type { PendingTransaction } from '../delivery/pending.ts';

/** `status` names the last of them; the store has all. */
const MAX_LAST_SKIPPED = 10;
/** Records that wait for the next sync of the ledger; more are written at once. */
const MAX_UNWRITTEN = 1000;

export type MarkerPorts = {
  readonly sink: string;
  /** Does the database allow markers to skip, and does this sink heed them? */
  readonly heedsSkips: boolean;
  /** Durable when it returns. The same transaction again replaces its record. */
  readonly keep: (skipped: readonly SkippedTransaction[]) => void;
  readonly logger: Logger;
};

export const NO_MARKERS: MarkerStatus = {
  skippedTransactions: 0,
  skippedChanges: 0,
  lastSkipped: [],
  ignored: 0,
  invalidAnnotations: 0,
};

export class SinkMarkers {
  readonly #ports: MarkerPorts;
  readonly #lines: RepeatedLines;
  #status: MarkerStatus = NO_MARKERS;
  #unwritten: SkippedTransaction[] = [];

  constructor(ports: MarkerPorts) {
    this.#ports = ports;
    this.#lines = new RepeatedLines(ports.logger);
  }

  status(): MarkerStatus {
    return this.#status;
  }

  /** The transaction as it is for the changes after this message. */
  mark(transaction: PendingTransaction, message: LogicalMessage): PendingTransaction {
    const marker = parseMarker(message.prefix, message.content);
    switch (marker?.kind) {
      case undefined:
        return transaction;
      case 'annotate':
        return { ...transaction, annotations: marker.annotations };
      case 'unreadable annotation':
        this.#count('invalidAnnotations');
        this.#warn('a transaction annotation is no JSON: its changes carry null', transaction);
        return { ...transaction, annotations: undefined };
      case 'unreadable skip':
        this.#count('ignored');
        this.#warn(
          'a skip marker names its sinks in no list that can be read: nothing is skipped',
          transaction,
        );
        return transaction;
      case 'skip':
        return this.#skip(transaction, marker.sinks);
      default:
        return marker satisfies never;
    }
  }

  /** The log no longer has the marker: what it said of this transaction's changes is not known. */
  lost(transaction: PendingTransaction): void {
    this.#warn('the log begins inside a transaction and after its markers, which count no more', transaction);
  }

  /** The transaction is complete: of what it kept from this sink there is a record now. */
  committed({ skip, xid, epoch, commitLsn, commitTimeUs }: PendingTransaction): void {
    if (skip === undefined || skip.changes === 0) return;
    const committedAt = new Date(Number(commitTimeUs / 1000n)).toISOString();
    const record = { xid, epoch, commitLsn: formatLsn(commitLsn), changes: skip.changes, committedAt };
    const { skippedTransactions, skippedChanges, lastSkipped } = this.#status;
    this.#status = {
      ...this.#status,
      skippedTransactions: skippedTransactions + 1,
      skippedChanges: skippedChanges + record.changes,
      lastSkipped: [...lastSkipped, record].slice(-MAX_LAST_SKIPPED),
    };
    const { sink } = this.#ports;
    const message = 'skipped what follows the marker in a transaction';
    this.#lines.say({ level: 'info', message, fields: { sink, ...record } });
    this.#unwritten.push(record);
    if (this.#unwritten.length >= MAX_UNWRITTEN) this.write();
  }

  /** Invariant 3: the records are on disk before the sink's cursor passes what they tell of. */
  write(): void {
    if (this.#unwritten.length === 0) return;
    this.#ports.keep(this.#unwritten);
    this.#unwritten = [];
  }

  #skip(transaction: PendingTransaction, sinks: readonly string[] | undefined): PendingTransaction {
    const { sink, heedsSkips } = this.#ports;
    if (sinks !== undefined && !sinks.includes(sink)) return transaction;
    if (!heedsSkips) {
      this.#count('ignored');
      return transaction;
    }
    return { ...transaction, skip: transaction.skip ?? { changes: 0 } };
  }

  #count(what: 'ignored' | 'invalidAnnotations'): void {
    this.#status = { ...this.#status, [what]: this.#status[what] + 1 };
  }

  #warn(message: string, { xid, commitLsn }: PendingTransaction): void {
    const { sink } = this.#ports;
    const fields = { sink, xid, commitLsn: formatLsn(commitLsn) };
    this.#lines.say({ level: 'warn', message, fields });
  }
}

// Counts what a queue accepted: each change exactly once, in order per row and per group, no part of a transaction missing.
// Hot file: runs for every message; bits and typed arrays, so that millions of messages cost no garbage collection.
import { commitTimeOf, readMessage, type ReadMessage } from './message.ts';

export type AccountingFigures = {
  readonly accepted: number;
  readonly transactions: number;
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  /** Changes that came again. */
  readonly duplicates: number;
  /** Changes behind a later one of the same row or the same FIFO group. */
  readonly outOfOrder: number;
  /** Changes missing before the last one seen of their transaction. */
  readonly missing: number;
  /** Idempotency keys or deduplication ids that do not stand for exactly one change. */
  readonly badKeys: number;
  readonly unreadable: number;
};

type Transaction = {
  readonly commitLsn: number;
  readonly commitTimeMs: number;
  /** The idempotency keys of its changes, without their index. */
  readonly keyPrefix: string;
  /** One bit a change. */
  seen: Uint8Array<ArrayBuffer>;
  count: number;
  highest: number;
};

/** Grows a typed array to hold `index`, in doubling steps. */
function grown<T extends Uint8Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(array: T, index: number): T {
  if (index < array.length) return array;
  const larger = new (array.constructor as new (length: number) => T)(Math.max(index + 1, array.length * 2));
  larger.set(array);
  return larger;
}

const ZERO = 0x30;
const FIRST_BITMAP_BYTES = 8;
const FIRST_ROWS = 1024;

/** The last position seen of every row: rows are numbered from 1. */
class RowOrder {
  #lsn = new Float64Array(FIRST_ROWS);
  #index = new Float64Array(FIRST_ROWS);

  /** Is this change later than the row's last one? */
  advance(id: number, commitLsn: number, index: number): boolean {
    this.#lsn = grown(this.#lsn, id);
    this.#index = grown(this.#index, id);
    const last = this.#lsn[id]!;
    if (commitLsn < last || (commitLsn === last && index <= this.#index[id]!)) return false;
    this.#lsn[id] = commitLsn;
    this.#index[id] = index;
    return true;
  }
}

export class QueueAccounting {
  readonly #transactions = new Map<number, Transaction>();
  readonly #keyPrefixes = new Set<string>();
  readonly #rows = new RowOrder();
  /** Groups that are not a row each: their last positions. */
  readonly #groups = new Map<string, { commitLsn: number; index: number }>();
  readonly #message: ReadMessage = { id: 0, commitLsn: 0, index: 0, action: '', key: '' };
  readonly #counts = {
    accepted: 0,
    inserts: 0,
    updates: 0,
    deletes: 0,
    duplicates: 0,
    outOfOrder: 0,
    badKeys: 0,
    unreadable: 0,
  };
  #current: Transaction | undefined;
  #rowGroupPrefix: string | undefined;
  #dedupSuffix: string | undefined;

  /** `body`: as it stands in the request, or unescaped. Returns when the change was committed (milliseconds since 1970); undefined: it is not counted, a repeat or no change. */
  accept(group: string, dedup: string, body: string): number | undefined {
    const message = this.#message;
    const counts = this.#counts;
    if (!readMessage(body, message)) {
      counts.unreadable++;
      return undefined;
    }
    const { id, commitLsn, index, action, key } = message;
    const transaction = this.#transactionOf(commitLsn, key, body);
    if (!this.#isKeyOf(transaction, index, key, dedup)) counts.badKeys++;
    if (!markSeen(transaction, index)) {
      counts.duplicates++;
      return undefined;
    }
    if (!this.#isInOrder(group, id, commitLsn, index)) counts.outOfOrder++;
    counts.accepted++;
    if (action === 'i') counts.inserts++;
    else if (action === 'u') counts.updates++;
    else if (action === 'd') counts.deletes++;
    return transaction.commitTimeMs;
  }

  get accepted(): number {
    return this.#counts.accepted;
  }

  figures(): AccountingFigures {
    let missing = 0;
    for (const { highest, count } of this.#transactions.values()) missing += highest + 1 - count;
    return { ...this.#counts, transactions: this.#transactions.size, missing };
  }

  #transactionOf(commitLsn: number, key: string, body: string): Transaction {
    if (this.#current?.commitLsn === commitLsn) return this.#current;
    let transaction = this.#transactions.get(commitLsn);
    if (transaction === undefined) {
      const keyPrefix = key.replace(/\d+$/, '');
      if (this.#keyPrefixes.has(keyPrefix)) this.#counts.badKeys++;
      this.#keyPrefixes.add(keyPrefix);
      const seen = new Uint8Array(FIRST_BITMAP_BYTES);
      transaction = { commitLsn, commitTimeMs: commitTimeOf(body), keyPrefix, seen, count: 0, highest: -1 };
      this.#transactions.set(commitLsn, transaction);
    }
    this.#current = transaction;
    return transaction;
  }

  /** A key is its transaction's prefix and the index; a deduplication id is the key and the same suffix for all. */
  #isKeyOf(transaction: Transaction, index: number, key: string, dedup: string): boolean {
    this.#dedupSuffix ??= dedup.slice(key.length);
    return isNumbered(key, transaction.keyPrefix, index) && isJoined(dedup, key, this.#dedupSuffix);
  }

  #isInOrder(group: string, id: number, commitLsn: number, index: number): boolean {
    const inOrder = this.#rows.advance(id, commitLsn, index);
    this.#rowGroupPrefix ??= prefixBefore(group, String(id));
    if (isNumbered(group, this.#rowGroupPrefix, id)) return inOrder;
    const last = this.#groups.get(group);
    if (last === undefined) {
      this.#groups.set(group, { commitLsn, index });
      return inOrder;
    }
    if (commitLsn < last.commitLsn || (commitLsn === last.commitLsn && index <= last.index)) return false;
    last.commitLsn = commitLsn;
    last.index = index;
    return inOrder;
  }
}

/** `text === before + behind`, without making a text of it. */
const isJoined = (text: string, before: string, behind: string): boolean =>
  text.length === before.length + behind.length && text.startsWith(before) && text.endsWith(behind);

/** The same with a whole number behind. */
function isNumbered(text: string, before: string, number: number): boolean {
  if (!text.startsWith(before)) return false;
  let left = number;
  let at = text.length - 1;
  do {
    if (text.charCodeAt(at--) !== ZERO + (left % 10)) return false;
    left = Math.floor(left / 10);
  } while (left > 0);
  return at === before.length - 1;
}

/** `group` without `id` at its end; the empty text when it does not end so: then groups are not rows. */
const prefixBefore = (group: string, id: string): string =>
  group.endsWith(id) ? group.slice(0, group.length - id.length) : '';

/** Marks a change of the transaction; false when it was seen before. */
function markSeen(transaction: Transaction, index: number): boolean {
  const byte = index >>> 3;
  const bit = 1 << (index & 7);
  transaction.seen = grown(transaction.seen, byte);
  if ((transaction.seen[byte]! & bit) !== 0) return false;
  transaction.seen[byte]! |= bit;
  transaction.count++;
  if (index > transaction.highest) transaction.highest = index;
  return true;
}

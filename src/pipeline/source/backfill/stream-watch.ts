// What the stream brings while backfills read, told to those who have to know: transactions, and changes of the tables that are read. A
// batch is looked through only while there is a backfill: without one the stream costs what it did.
import { ZERO_LSN, type Lsn } from '../../../core/lsn.ts';
import {
  decodeBegin,
  decodeRelation,
  decodeTruncate,
  MESSAGE,
  relationIdOfRow,
} from '../../../pgoutput/messages.ts';
import { isRow } from '../../../pgoutput/row-numbers.ts';
import { RANGE, type StreamBatch } from '../../../postgres/replication/stream.ts';
import type { StreamedTransactions } from './streamed-transactions.ts';
import type { TableWatch } from './table-watch.ts';

export class StreamWatch {
  readonly #streamed: Pick<StreamedTransactions, 'came'>;
  /** By the ids that the stream has for them: one for each backfill of a table, and for each partition that it has under one id. */
  readonly #tables = new Map<number, readonly TableWatch[]>();

  /** Of the transaction that came last. */
  commitLsn: Lsn = ZERO_LSN;

  constructor(streamed: Pick<StreamedTransactions, 'came'>) {
    this.#streamed = streamed;
  }

  /**
   * From the next batch on the table's changes are told. `inForce`: its Relation message, where the connection has brought one: it does not
   * come again.
   */
  watch(relationId: number, table: TableWatch, inForce: Buffer | undefined): void {
    this.#tables.set(relationId, [...(this.#tables.get(relationId) ?? []), table]);
    if (inForce !== undefined) table.relation(decodeRelation(inForce, 0, inForce.length));
  }
  unwatch(relationId: number, table: TableWatch): void {
    const left = (this.#tables.get(relationId) ?? []).filter((other) => other !== table);
    if (left.length === 0) this.#tables.delete(relationId);
    else this.#tables.set(relationId, left);
  }

  /** Before the batch is taken into the log. */
  take(batch: StreamBatch): void {
    const { bytes, starts, ends, kinds, count } = batch;
    for (let i = 0; i < count; i++) {
      const start = starts[i]!;
      if (kinds[i] === RANGE.whole) this.#message(bytes, start, ends[i]!);
      // Of a row too large to be kept whole nobody knows which it is.
      else if (kinds[i] === RANGE.first && isRow(bytes[start]!))
        for (const table of this.#tablesOf(bytes, start)) table.any();
    }
  }

  #message(bytes: Buffer, start: number, end: number): void {
    switch (bytes[start]!) {
      case MESSAGE.insert:
      case MESSAGE.update:
      case MESSAGE.delete:
        for (const table of this.#tablesOf(bytes, start)) table.row(bytes, start, end);
        break;
      case MESSAGE.begin: {
        const { xid, commitLsn } = decodeBegin(bytes, start, end);
        this.#streamed.came(xid);
        this.commitLsn = commitLsn;
        break;
      }
      case MESSAGE.relation: {
        const relation = decodeRelation(bytes, start, end);
        for (const table of this.#tables.get(relation.id) ?? NONE) table.relation(relation);
        break;
      }
      case MESSAGE.truncate:
        for (const id of decodeTruncate(bytes, start, end).relationIds)
          for (const table of this.#tables.get(id) ?? NONE) table.any();
        break;
      default:
    }
  }

  #tablesOf = (bytes: Buffer, start: number): readonly TableWatch[] =>
    this.#tables.get(relationIdOfRow(bytes, start)) ?? NONE;
}

const NONE: readonly TableWatch[] = [];

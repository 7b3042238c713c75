// What the stream brings while backfills read, told to those who have to know: transactions, and changes of the tables that are read. A
// batch is looked through only while there is a backfill: without one the stream costs what it did.
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
  /** By the ids that the stream has for them. Several backfills of one table share its watch. */
  readonly #tables = new Map<number, TableWatch>();

  constructor(streamed: Pick<StreamedTransactions, 'came'>) {
    this.#streamed = streamed;
  }

  /**
   * From the next batch on the table's changes are told. `inForce`: its Relation message, where the connection has brought one: it does not
   * come again.
   */
  watch(relationId: number, table: TableWatch, inForce: Buffer | undefined): void {
    this.#tables.set(relationId, table);
    if (inForce !== undefined) table.relation(decodeRelation(inForce, 0, inForce.length));
  }
  unwatch(relationId: number): void {
    this.#tables.delete(relationId);
  }

  /** Before the batch is taken into the log. */
  take(batch: StreamBatch): void {
    const { bytes, starts, ends, kinds, count } = batch;
    for (let i = 0; i < count; i++) {
      const start = starts[i]!;
      if (kinds[i] === RANGE.whole) this.#message(bytes, start, ends[i]!);
      // Of a row too large to be kept whole nobody knows which it is.
      else if (kinds[i] === RANGE.first && isRow(bytes[start]!)) this.#tableOf(bytes, start)?.any();
    }
  }

  #message(bytes: Buffer, start: number, end: number): void {
    switch (bytes[start]!) {
      case MESSAGE.insert:
      case MESSAGE.update:
      case MESSAGE.delete:
        this.#tableOf(bytes, start)?.row(bytes, start, end);
        break;
      case MESSAGE.begin:
        this.#streamed.came(decodeBegin(bytes, start, end).xid);
        break;
      case MESSAGE.relation: {
        const relation = decodeRelation(bytes, start, end);
        this.#tables.get(relation.id)?.relation(relation);
        break;
      }
      case MESSAGE.truncate:
        for (const id of decodeTruncate(bytes, start, end).relationIds) this.#tables.get(id)?.any();
        break;
      default:
    }
  }

  #tableOf = (bytes: Buffer, start: number): TableWatch | undefined =>
    this.#tables.get(relationIdOfRow(bytes, start));
}

// A TRUNCATE is a barrier of its table: it waits for everything earlier there, everything later waits for it.
import type { Pending } from './pending.ts';

/** The unsettled row messages between two TRUNCATEs of a table. */
export type TableOrder = {
  unsettled: number;
  /** The TRUNCATE that ends this stretch and waits for it. */
  closedBy: Pending | undefined;
};

/** The barriers of one table in one sink. */
export class TableBarriers {
  #stretch: TableOrder = { unsettled: 0, closedBy: undefined };
  #truncate: Pending | undefined;
  readonly #waiting = new Map<Pending, Pending[]>();

  /** Is there an unsettled TRUNCATE that what comes now must wait for? */
  get isClosed(): boolean {
    return this.#truncate !== undefined;
  }

  /** A row message enters: it waits for the last TRUNCATE. */
  enterRow(message: Pending): void {
    this.#stretch.unsettled++;
    message.tableOrder = this.#stretch;
    if (this.#truncate !== undefined) this.#wait(message, this.#truncate);
  }

  /** A TRUNCATE enters: it waits for the rows before it and for the TRUNCATE before those. */
  enterTruncate(message: Pending): void {
    if (this.#stretch.unsettled > 0) {
      this.#stretch.closedBy = message;
      message.waitsOn++;
    }
    if (this.#truncate !== undefined) this.#wait(message, this.#truncate);
    this.#truncate = message;
    this.#stretch = { unsettled: 0, closedBy: undefined };
  }

  /** A TRUNCATE is settled: returns who waited for it. */
  settleTruncate(message: Pending): readonly Pending[] {
    if (this.#truncate === message) this.#truncate = undefined;
    const waiting = this.#waiting.get(message) ?? [];
    this.#waiting.delete(message);
    return waiting;
  }

  #wait(message: Pending, truncate: Pending): void {
    message.waitsOn++;
    const waiting = this.#waiting.get(truncate);
    if (waiting === undefined) this.#waiting.set(truncate, [message]);
    else waiting.push(message);
  }
}

/** The barriers of a sink, by table: relations of one name share them. */
export class Barriers {
  readonly #byTable = new Map<string, TableBarriers>();

  of(schema: string, table: string): TableBarriers {
    const name = JSON.stringify([schema, table]);
    let barriers = this.#byTable.get(name);
    if (barriers === undefined) {
      barriers = new TableBarriers();
      this.#byTable.set(name, barriers);
    }
    return barriers;
  }
}

/** A row message is settled: returns the TRUNCATE that waited for it as the last one. */
export function settleRow(order: TableOrder): Pending | undefined {
  order.unsettled--;
  return order.unsettled === 0 ? order.closedBy : undefined;
}

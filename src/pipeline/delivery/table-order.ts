// A TRUNCATE is a barrier of its table: it waits for everything earlier there, everything later waits for it.

/** The unsettled row messages between two TRUNCATEs of a table. */
export type TableStretch<Message> = {
  unsettled: number;
  /** The TRUNCATE that ends this stretch and waits for it. */
  closedBy: Message | undefined;
};

/** The barriers of one table in one sink. */
export class TableBarriers<Message extends { waitsOn: number }> {
  #stretch: TableStretch<Message> = { unsettled: 0, closedBy: undefined };
  #truncate: Message | undefined;
  readonly #waiting = new Map<Message, Message[]>();

  /** Is there an unsettled TRUNCATE that what comes now must wait for? */
  get isClosed(): boolean {
    return this.#truncate !== undefined;
  }

  /** A row message enters: it waits for the last TRUNCATE. Answers its stretch, for `settleRow`. */
  enterRow(message: Message): TableStretch<Message> {
    this.#stretch.unsettled++;
    if (this.#truncate !== undefined) this.#wait(message, this.#truncate);
    return this.#stretch;
  }

  /** A TRUNCATE enters: it waits for the rows before it and for the TRUNCATE before those. */
  enterTruncate(message: Message): void {
    if (this.#stretch.unsettled > 0) {
      this.#stretch.closedBy = message;
      message.waitsOn++;
    }
    if (this.#truncate !== undefined) this.#wait(message, this.#truncate);
    this.#truncate = message;
    this.#stretch = { unsettled: 0, closedBy: undefined };
  }

  /** A TRUNCATE is settled: returns who waited for it. */
  settleTruncate(message: Message): readonly Message[] {
    if (this.#truncate === message) this.#truncate = undefined;
    const waiting = this.#waiting.get(message) ?? [];
    this.#waiting.delete(message);
    return waiting;
  }

  #wait(message: Message, truncate: Message): void {
    message.waitsOn++;
    const waiting = this.#waiting.get(truncate);
    if (waiting === undefined) this.#waiting.set(truncate, [message]);
    else waiting.push(message);
  }
}

/** The barriers of a sink, by table: relations of one name share them. */
export class Barriers<Message extends { waitsOn: number }> {
  readonly #byTable = new Map<string, TableBarriers<Message>>();

  of(schema: string, table: string): TableBarriers<Message> {
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
export function settleRow<Message>(stretch: TableStretch<Message>): Message | undefined {
  stretch.unsettled--;
  return stretch.unsettled === 0 ? stretch.closedBy : undefined;
}

// A TRUNCATE is a barrier of its table: it waits for everything earlier there, everything later waits for it. So is the message of a
// changed schema, and so is a change of the columns that make the table's groups: what one row was under the old groups and is under
// the new ones has no other order.

/** What a barrier waits for, and who waits for it. */
export type Barrier<Message> = Message | Regrouping<Message>;

/** The unsettled row messages between two barriers of a table. */
export type TableStretch<Message> = {
  unsettled: number;
  /** The barrier that ends this stretch and waits for it. */
  closedBy: Barrier<Message> | undefined;
};

/** A barrier that is no message: it is settled as soon as it waits for nothing. */
export class Regrouping<Message> {
  waitsOn = 0;
  /** Settles it: returns who waited for it. */
  readonly settle: () => readonly Barrier<Message>[];

  constructor(settle: (regrouping: Regrouping<Message>) => readonly Barrier<Message>[]) {
    this.settle = () => settle(this);
  }
}

/** The barriers of one table in one sink. */
export class TableBarriers<Message extends { waitsOn: number }> {
  #stretch: TableStretch<Message> = { unsettled: 0, closedBy: undefined };
  #last: Barrier<Message> | undefined;
  readonly #waiting = new Map<Barrier<Message>, Barrier<Message>[]>();
  #grouping: string | undefined;

  /** Is there an unsettled barrier that what comes now must wait for? */
  get isClosed(): boolean {
    return this.#last !== undefined;
  }

  /** The rows that come now have their groups from these columns: where that is new, they wait for all earlier ones. */
  regroup(grouping: string): void {
    if (grouping === this.#grouping) return;
    const isFirst = this.#grouping === undefined;
    this.#grouping = grouping;
    // Where there is a barrier and nothing behind it, that one serves.
    if (isFirst || this.#stretch.unsettled === 0) return;
    this.#close(new Regrouping<Message>((regrouping) => this.settle(regrouping)));
  }

  /** A row message enters: it waits for the last barrier. Answers its stretch, for `settleRow`. */
  enterRow(message: Message): TableStretch<Message> {
    this.#stretch.unsettled++;
    if (this.#last !== undefined) this.#wait(message, this.#last);
    return this.#stretch;
  }

  /** A message that is a barrier enters: it waits for the rows before it and for the barrier before those. */
  enterBarrier(message: Message): void {
    this.#close(message);
  }

  /** A barrier of another table waits for everything earlier here too: this was its name. */
  precede(barrier: Message): void {
    if (this.#stretch.unsettled > 0) this.#close(new Regrouping<Message>((each) => this.settle(each)));
    if (this.#last !== undefined) this.#wait(barrier, this.#last);
  }

  /** A barrier is settled: returns who waited for it. */
  settle(barrier: Barrier<Message>): readonly Barrier<Message>[] {
    if (this.#last === barrier) this.#last = undefined;
    const waiting = this.#waiting.get(barrier) ?? [];
    this.#waiting.delete(barrier);
    return waiting;
  }

  #close(barrier: Barrier<Message>): void {
    if (this.#stretch.unsettled > 0) {
      this.#stretch.closedBy = barrier;
      barrier.waitsOn++;
    }
    if (this.#last !== undefined) this.#wait(barrier, this.#last);
    this.#last = barrier;
    this.#stretch = { unsettled: 0, closedBy: undefined };
  }

  #wait(message: Barrier<Message>, barrier: Barrier<Message>): void {
    message.waitsOn++;
    const waiting = this.#waiting.get(barrier);
    if (waiting === undefined) this.#waiting.set(barrier, [message]);
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

/** A row message is settled: returns the barrier that waited for it as the last one. */
export function settleRow<Message>(stretch: TableStretch<Message>): Barrier<Message> | undefined {
  stretch.unsettled--;
  return stretch.unsettled === 0 ? stretch.closedBy : undefined;
}

// What the last process had settled already, asked for every change until reading has come past it: those are not sent again.
import type { SettledPart, TransactionContext } from '../../core/change.ts';
import type { Position } from '../../core/position.ts';
import type { Ledger } from '../../store/ledger.ts';

export class Restored {
  readonly #ledger: Pick<Ledger, 'wasSettled' | 'wasPartSettled' | 'isPastRestored'>;
  #isOver = false;

  constructor(ledger: Pick<Ledger, 'wasSettled' | 'wasPartSettled' | 'isPastRestored'>) {
    this.#ledger = ledger;
  }

  /** Is nothing left to be asked for? */
  get isOver(): boolean {
    return this.#isOver;
  }

  has({ epoch, commitLsn }: TransactionContext, index: number): boolean {
    return !this.#isOver && this.#ledger.wasSettled(epoch, commitLsn, index);
  }

  hasPart({ epoch, commitLsn }: TransactionContext, index: number, part: SettledPart): boolean {
    return !this.#isOver && this.#ledger.wasPartSettled(part, epoch, commitLsn, index);
  }

  /** Reading has come as far as this. */
  readTo(position: Position): void {
    if (!this.#isOver) this.#isOver = this.#ledger.isPastRestored(position);
  }
}

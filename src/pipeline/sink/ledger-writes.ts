// When the ledger's file is written: what settled is handed to the operating system once per turn of the event loop.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Ledger } from '../../store/ledger.ts';
import type { Pending } from '../delivery/pending.ts';

export class LedgerWrites {
  readonly #ledger: Pick<Ledger, 'settle' | 'settleHalves' | 'write'>;
  readonly #fail: (error: unknown) => void;
  /** The next write, after this turn. */
  #writing: Promise<void> | undefined;

  /** `fail` is told when the ledger cannot be written. */
  constructor(ledger: Pick<Ledger, 'settle' | 'settleHalves' | 'write'>, fail: (error: unknown) => void) {
    this.#ledger = ledger;
    this.#fail = fail;
  }

  /** Invariant 2: remembered as settled before anything relies on it. */
  remember(changes: readonly Pending[]): void {
    this.#ledger.settle(changes);
    this.#writeSoon();
  }

  /** Each of these is one half of a change, the other half of which is not settled. */
  rememberHalves(halves: readonly Pending[]): void {
    for (const half of ['delete', 'insert'] as const) {
      this.#ledger.settleHalves(
        half,
        halves.filter(({ action }) => action === half),
      );
    }
    this.#writeSoon();
  }

  #writeSoon(): void {
    this.#writing ??= nextTurn().then(() => {
      this.#writing = undefined;
      this.record();
    });
  }

  /** Hands what is remembered to the operating system: it survives `kill -9`. */
  record(): void {
    try {
      this.#ledger.write();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Resolves once every outcome given so far is recorded. */
  async recorded(): Promise<void> {
    // The dispatcher takes note of an outcome before the next turn.
    await nextTurn();
    await this.#writing;
  }
}

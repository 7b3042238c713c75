// When the ledger's file is written: what settled is handed to the operating system once per turn of the event loop.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Ledger } from '../../store/ledger.ts';
import { SETTLED_PARTS } from '../../core/change.ts';
import type { Pending } from '../delivery/pending.ts';

export class LedgerWrites {
  readonly #ledger: Pick<Ledger, 'settle' | 'settleParts' | 'write'>;
  readonly #fail: (error: unknown) => void;
  /** The next write, after this turn. */
  #writing: Promise<void> | undefined;
  /** Why the last write failed: what was to be remembered is not. */
  #fault: { readonly error: unknown } | undefined;

  /** `fail` is told when the ledger cannot be written. */
  constructor(ledger: Pick<Ledger, 'settle' | 'settleParts' | 'write'>, fail: (error: unknown) => void) {
    this.#ledger = ledger;
    this.#fail = fail;
  }

  /** Invariant 2: remembered as settled before anything relies on it. */
  remember(changes: readonly Pending[]): void {
    this.#take(() => this.#ledger.settle(changes));
  }

  /** Each of these is one part of a change, another part of which is not settled. */
  rememberParts(parts: readonly Pending[]): void {
    this.#take(() => {
      for (const part of SETTLED_PARTS) {
        this.#ledger.settleParts(
          part,
          parts.filter(({ settledAs }) => settledAs === part),
        );
      }
    });
  }

  #take(settle: () => void): void {
    try {
      // The ledger writes by itself when there is much.
      settle();
    } catch (error) {
      this.#failed(error);
    }
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
      this.#failed(error);
    }
  }

  /** Resolves once every outcome given so far is recorded; rejects when that cannot be. */
  async recorded(): Promise<void> {
    // The dispatcher takes note of an outcome before the next turn.
    await nextTurn();
    await this.#writing;
    if (this.#fault !== undefined) throw this.#fault.error;
  }

  /** For good: the sink ends here, and what a later write may still have brought to the disk is for the next start to find. */
  #failed(error: unknown): void {
    this.#fault ??= { error };
    this.#fail(error);
  }
}

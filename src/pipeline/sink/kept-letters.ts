// Dead letters that were stored, and a kill came before the ledger had them: their changes are settled. Sent again, a replay of
// the letter would come after what followed them.
import type { Part, SettledPart } from '../../core/change.ts';
import { idempotencyKey, isOfBackfill, partKey } from '../../core/idempotency.ts';
import { comparePositions, formatPosition } from '../../core/position.ts';
import type { DeadLetters } from '../../store/dead-letters.ts';
import type { Cursor, Ledger } from '../../store/ledger.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { PendingTransaction } from '../delivery/pending.ts';

export type KeptLetterPorts = {
  readonly id: SinkId;
  readonly letters: Pick<DeadLetters, 'places'>;
  readonly ledger: Pick<Ledger, 'wasSettled' | 'settle' | 'settleParts' | 'write'>;
  /** Everything before it is settled. */
  readonly start: Cursor;
  /** Then the first row event of a transaction is one change with what begins that. */
  readonly tellsTransactions: boolean;
};

export class KeptLetters {
  /** Idempotency keys; of rows that a backfill has read, whose keys say nothing of their places, these. */
  readonly #unrecorded = new Set<string>();
  /** Of rows whose transactions may not be begun yet. */
  readonly #firstRows = new Set<string>();

  /** The ledger has them from here on: a letter may be gone before the cursor has passed its change. */
  constructor({ id, letters, ledger, start, tellsTransactions }: KeptLetterPorts) {
    for (const { position, key, action } of letters.places(id, { epoch: start.position.epoch })) {
      const { epoch, commitLsn, index } = position;
      if (comparePositions(position, start.position) < 0 || ledger.wasSettled(epoch, commitLsn, index))
        continue;
      const change = { transaction: { epoch, commitLsn }, index };
      const isRead = isOfBackfill(key, action);
      const isPart = !isRead && !key.endsWith(idempotencyKey('', index));
      if (tellsTransactions && index === 0 && !isRead && !isPart) {
        this.#firstRows.add(key);
        ledger.settleParts('row', [change]);
        continue;
      }
      this.#unrecorded.add(isRead ? formatPosition(position) : key);
      if (isPart) ledger.settleParts(action as Part, [change]);
      else ledger.settle([change]);
    }
    if (!this.isEmpty) ledger.write();
  }

  /** Was there none? */
  get isEmpty(): boolean {
    return this.#unrecorded.size + this.#firstRows.size === 0;
  }

  has(transaction: PendingTransaction, index: number): boolean {
    if (this.#unrecorded.size === 0) return false;
    const { epoch, commitLsn } = transaction;
    return this.#unrecorded.has(
      transaction.readUpTo === undefined
        ? idempotencyKey(transaction.key, index)
        : formatPosition({ epoch, commitLsn, index }),
    );
  }

  hasPart(transaction: PendingTransaction, index: number, part: SettledPart): boolean {
    if (part === 'row')
      return this.#firstRows.size > 0 && this.#firstRows.has(idempotencyKey(transaction.key, index));
    if (this.#unrecorded.size === 0) return false;
    return this.#unrecorded.has(partKey(idempotencyKey(transaction.key, index), part));
  }
}

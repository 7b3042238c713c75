// Where the messages of a sink enter, and what is known of those that have entered before.
import type { SettledPart } from '../../core/change.ts';
import type { PendingTransaction } from '../delivery/pending.ts';
import type { Unsettled } from '../delivery/unsettled.ts';

export type EntryPorts = {
  readonly unsettled: Pick<Unsettled, 'arenas' | 'shouldPark' | 'enter'>;
  /** Was it settled before the restart, or is it given up? */
  isDone(transaction: PendingTransaction, index: number, offset: number, relationId: number): boolean;
  /** Is `isDone` true of nothing behind a row of the same transaction of which it is not? Undefined: it may be. */
  readonly isAllNew?: (() => boolean) | undefined;
  /** Was this part of a change settled, which is not done as a whole? */
  isPartDone(transaction: PendingTransaction, index: number, part: SettledPart): boolean;
  /** The bytes of a raw message in the log. */
  readFrames(offset: number, length: number): Buffer;
};

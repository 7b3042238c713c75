// What the dispatcher tells of messages that will not be sent again. The sink room implements it with ledger, dead letters and replays.
import type { DeliveryError } from '../../core/errors.ts';
import type { Pending } from './pending.ts';

export interface Outcomes {
  /** Invariant 2: these are settled, and are remembered as such before anything relies on it. */
  settled(messages: readonly Pending[]): void;
  /** Invariant 3: keeps a message that its destination refuses; durable when it returns. It is settled after that. Throws where it cannot be kept. */
  deadLetter(message: Pending, error: DeliveryError): void;
  /** So many changes are given up: those of messages whose request failed after `discardBelow`. */
  discarded(changes: number): void;
  /** Hands what is remembered to the operating system: it survives `kill -9`. */
  record(): void;
  /** A parked message cannot be rendered again, or a dead letter cannot be kept: the sink cannot go on. */
  broken(error: unknown): void;
  /** The sink cannot go on. */
  halted(error: DeliveryError): void;
}

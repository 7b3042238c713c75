// Dead letters that are on their way again: rendered from the store when their turn comes, and what becomes of them.
import { escapeFrom, type MessageEncoding } from '../../core/encoding.ts';
import type { DeliveryError } from '../../core/errors.ts';
import type { DeadLetters } from '../../store/dead-letters.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Arenas } from '../delivery/arena.ts';
import type { Pending } from '../delivery/pending.ts';

export type ReplayedLetterPorts = {
  readonly id: SinkId;
  readonly letters: Pick<DeadLetters, 'find' | 'delivered' | 'returned'>;
  /** How the sink wants its messages' bytes. */
  readonly encoding: MessageEncoding | undefined;
  /** Where messages are rendered to. */
  readonly arenas: Arenas;
  /** The sink cannot go on. */
  readonly fail: (error: unknown) => void;
  /** For the records. */
  readonly wallTime: () => Date;
};

/**
 * A replayed letter is a message like others, but not one of the log: no cursor waits for it, and the ledger does not
 * know it. The store remembers that it is to be replayed, so a restart goes on.
 */
export class ReplayedLetters {
  readonly #ports: ReplayedLetterPorts;
  readonly #onTheirWay = new Set<number>();
  #left: () => void = () => undefined;

  constructor(ports: ReplayedLetterPorts) {
    this.#ports = ports;
  }

  /** How many are on their way. */
  get count(): number {
    return this.#onTheirWay.size;
  }

  has(letter: number): boolean {
    return this.#onTheirWay.has(letter);
  }

  /** A letter is let in as a message. */
  enter(letter: number): void {
    this.#onTheirWay.add(letter);
  }

  /** `listener` is called whenever some have left. */
  onLeft(listener: () => void): void {
    this.#left = listener;
  }

  /** Fetches the payload of a letter whose turn has come. There is none where the letter was discarded meanwhile. */
  render(message: Pending): void {
    const { id, letters, arenas, encoding } = this.#ports;
    const payload = letters.find(id, message.letterId)?.payload;
    if (payload === undefined) {
      message.lacksPayload = true;
      return;
    }
    const arena = arenas.enter();
    const { writer } = arena;
    const { length, escapes } = writer;
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    writer.bytes(bytes, 0, bytes.length);
    if (encoding === 'json-string') escapeFrom(length, writer);
    message.rendered(arena, length, escapes);
  }

  /** Refused again: it goes back to the dead letters. */
  refused(message: Pending, error: DeliveryError): void {
    this.#onTheirWay.delete(message.letterId);
    const { code, hint: reason } = error;
    const { letters, wallTime } = this.#ports;
    letters.returned(message.letterId, { code, reason, attempts: message.attempts }, wallTime());
  }

  /** Takes the letters out of what is settled now: those that were not refused were delivered. Returns the others. */
  settled(messages: readonly Pending[]): readonly Pending[] {
    if (this.#onTheirWay.size === 0 && messages.every(({ letterId }) => letterId === 0)) return messages;
    const replayed = messages.filter(({ letterId }) => letterId !== 0);
    if (replayed.length === 0) return messages;
    const delivered = replayed.filter(({ letterId }) => this.#onTheirWay.delete(letterId));
    try {
      if (delivered.length > 0) this.#ports.letters.delivered(delivered.map(({ letterId }) => letterId));
    } catch (error) {
      this.#ports.fail(error);
    }
    this.#left();
    return messages.filter(({ letterId }) => letterId === 0);
  }
}

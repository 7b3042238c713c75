// The rewinds of rows of one sink: one after the other, as the store has them.
import type { RowRewindStatus } from '../../../core/row-rewind.ts';
import type { Pending } from '../../delivery/pending.ts';
import type { LoggedRow } from '../../intake/log-walker.ts';
import { RewindUnderWay, type RowRewindPorts } from './under-way.ts';

/** What is let in again is a message like others, but no cursor waits for it, and the ledger does not know it: the store does. */
export class RowRewinds {
  readonly #ports: RowRewindPorts;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #isAsked = false;
  #current: RewindUnderWay | undefined;
  #letIn: () => void = () => undefined;

  constructor(ports: RowRewindPorts) {
    this.#ports = ports;
  }

  /** `listener` is called whenever some have been let in. */
  onLetIn(listener: () => void): void {
    this.#letIn = listener;
  }

  /** The store has some that it did not have before, or in another state. */
  restart(): void {
    this.#isAsked = true;
    this.#current?.look();
    this.#running ??= this.#all().then(
      () => (this.#running = undefined),
      (error: unknown) => this.#ports.fail(error),
    );
  }

  async #all(): Promise<void> {
    const { id, stored, signals, slot } = this.#ports;
    const { signal } = this.#stopping;
    while (this.#isAsked && !signal.aborted) {
      this.#isAsked = false;
      for (const rewind of stored.open(id)) {
        if (signal.aborted) break;
        this.#current = new RewindUnderWay(rewind, { ...this.#ports, letIn: () => this.#letIn() }, signal);
        await this.#current.run();
        if (!signal.aborted) this.#current = undefined;
      }
    }
    // Else what was let in may still be rendered until the sink has stopped.
    if (!signal.aborted) signals.readAgain(slot, undefined);
  }

  /** Renders a parked message again. */
  renderParked(message: Pending): void {
    this.#current!.intake.renderParked(message);
  }

  /** Takes its own out of what is settled now. Returns the others. */
  settled(messages: readonly Pending[]): readonly Pending[] {
    if (this.#current === undefined || messages.every(({ rowRewind }) => rowRewind === 0)) return messages;
    for (const message of messages) if (message.rowRewind !== 0) this.#current.settled(message);
    return messages.filter(({ rowRewind }) => rowRewind === 0);
  }

  /** The sink's own walk has come to where a table is emptied. */
  truncated(row: LoggedRow): void {
    this.#current?.truncated(row);
  }

  status(): RowRewindStatus | undefined {
    return this.#current?.status();
  }

  /** Lets nothing more in. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Nothing is sent any more: what has settled is on record when it resolves. */
  async finish(): Promise<void> {
    await this.#running;
    this.#current?.note();
  }
}

// The connections that one backfill reads by: one, and more of them when there is work for more, up to a number.
import type { Client } from 'pg';
import { closeConnection } from '../connection/connection.ts';

export type ReadingPorts = {
  /** As many as there may be. */
  readonly most: number;
  /** Makes another one, ready to read. Rejects with TailraceError. */
  open(): Promise<Client>;
  /** Another one could not be had: those that are there go on. */
  noMore(error: unknown): void;
};

export class ReadingConnections {
  readonly #ports: ReadingPorts;
  readonly #all: Client[];
  readonly #idle: Client[];
  readonly #waiting: ((client: Client) => void)[] = [];
  #most: number;
  #opening = 0;
  #isRefused = false;
  #isClosed = false;

  constructor(first: Client, ports: ReadingPorts) {
    this.#ports = ports;
    this.#most = ports.most;
    this.#all = [first];
    this.#idle = [first];
  }

  /** So many may work at once. */
  get most(): number {
    return this.#most;
  }

  /** Calls `act` with one that nobody else has meanwhile, in the order of asking. Rejects as `act` does. */
  async use<Result>(act: (client: Client) => Promise<Result>): Promise<Result> {
    const client = await this.#take();
    try {
      return await act(client);
    } finally {
      this.#give(client);
    }
  }

  #give(client: Client): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(client);
    else next(client);
  }

  #take(): Promise<Client> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return Promise.resolve(idle);
    const { promise, resolve } = Promise.withResolvers<Client>();
    this.#waiting.push(resolve);
    if (this.#all.length + this.#opening < this.#most) void this.#open();
    return promise;
  }

  async #open(): Promise<void> {
    this.#opening++;
    try {
      const client = await this.#ports.open();
      if (this.#isClosed) return await closeConnection(client);
      this.#all.push(client);
      this.#give(client);
    } catch (error) {
      this.#most = this.#all.length;
      if (!this.#isClosed && !this.#isRefused) this.#ports.noMore(error);
      this.#isRefused = true;
    } finally {
      this.#opening--;
    }
  }

  /** What the server is about need not be waited for. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#all.map(closeConnection));
  }
}

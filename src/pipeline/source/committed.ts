// Waits until others see what a streamed transaction did: it is decoded as soon as its commit is in the WAL, and visible a moment later.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { steadyMs } from '../../core/clock.ts';

const INTERVAL_MS = 5;
/** A commit that waits for a synchronous standby stays invisible for as long as that takes: what the catalog says has to do. */
const MOST_MS = 1000;

/** One for a connection, whose ordinary session asks the catalog. */
export class Committed {
  readonly #client: Client;
  readonly #mostMs: number;
  /** The last one that was waited for. */
  #xid: number | undefined;

  constructor(client: Client, mostMs = MOST_MS) {
    this.#client = client;
    this.#mostMs = mostMs;
  }

  /** Before anything is asked about the relations that a transaction wrote to: it may have made them. */
  async isVisible(xid: number): Promise<void> {
    if (xid === this.#xid) return;
    const deadlineMs = steadyMs() + this.#mostMs;
    while ((await this.#runs(xid)) && steadyMs() < deadlineMs) await sleep(INTERVAL_MS);
    this.#xid = xid;
  }

  /** A transaction has its own id for itself until everybody sees that it has ended. */
  async #runs(xid: number): Promise<boolean> {
    const { rows } = await this.#client.query<{ runs: boolean }>(
      `select exists (select from pg_locks where locktype = 'transactionid' and granted and transactionid = $1::text::xid) as runs`,
      [xid],
    );
    return rows[0]?.runs === true;
  }
}

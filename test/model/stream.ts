// What one connection of the model brings: the messages of the pretended server, as the real feed takes them into the log.
import type { Lsn } from '../../src/core/lsn.ts';
import type { SourceLog } from '../../src/pipeline/source/log.ts';
import type { StreamBatch } from '../../src/postgres/replication/stream.ts';
import { begin, commit, relation, row as rowMessage } from './messages.ts';
import type { PretendedServer } from './server.ts';
import type { Transaction } from './server-state.ts';

type Message = { readonly bytes: Buffer; readonly row: number | undefined; readonly commitLsn: Lsn };

export type StreamStart = {
  readonly server: PretendedServer;
  readonly opened: SourceLog;
  readonly publication: string;
  readonly from: Lsn;
  readonly confirmed: Lsn;
};

export class ModelStream {
  readonly #start: StreamStart;
  /** What the server will send, message by message. */
  readonly #messages: Message[] = [];
  /** The transaction that the stream has come to. */
  #sent = -1;
  #isStopped = false;
  readonly #described = new Set<number>();
  readonly #tables = new Map<number, string>();
  #walEnd: Lsn;

  constructor(start: StreamStart) {
    this.#start = start;
    this.#walEnd = start.confirmed;
  }

  /** Is all taken that the server can decode? Up to 17 it stops at what it cannot. */
  get isOver(): boolean {
    return this.#isStopped && this.#messages.length === 0;
  }

  /**
   * Takes up to `count` messages in one batch, and what the server says of its WAL end if that was all. `logged` is told of the
   * rows that are in the log now. Throws what the feed does.
   */
  read(count: number, logged: (ids: readonly number[]) => void): void {
    const { server, opened } = this.#start;
    const { feed, keeper, log } = opened;
    this.#fill();
    const batch = this.#messages.splice(0, count);
    if (this.#messages.length === 0 && !this.#isStopped) this.#walEnd = server.walEnd;
    let isWhole = false;
    try {
      this.#take(batch);
      isWhole = true;
    } finally {
      const { lastCommitLsn } = log.context;
      const isThere = ({ commitLsn }: Message): boolean => isWhole || commitLsn <= lastCommitLsn;
      logged(batch.filter(isThere).flatMap(({ row }) => row ?? []));
    }
    feed.reached(this.#walEnd);
    keeper.appended(this.#walEnd, feed.openTransaction, feed.brought);
  }

  #fill(): void {
    const { server, from, publication } = this.#start;
    for (const transaction of server.stream(from, publication)) {
      if (this.#isStopped || transaction.number <= this.#sent) continue;
      const published = transaction.published[publication];
      if (published === undefined) {
        if (server.version >= 18) continue;
        this.#isStopped = true;
        return;
      }
      this.#sent = transaction.number;
      this.#send(transaction, new Set(published));
    }
  }

  #send(transaction: Transaction, published: ReadonlySet<number>): void {
    const { commitLsn } = transaction;
    this.#messages.push({ bytes: begin(transaction), row: undefined, commitLsn });
    for (const row of transaction.rows) {
      if (!published.has(row.id)) continue;
      this.#tables.set(row.oid, row.table);
      this.#messages.push({ bytes: rowMessage(row), row: row.id, commitLsn });
    }
    this.#messages.push({ bytes: commit(transaction), row: undefined, commitLsn });
  }

  #take(messages: readonly Message[]): void {
    const { feed } = this.#start.opened;
    try {
      for (const { bytes, row } of messages) {
        if (row !== undefined) this.#describe(bytes.readUInt32BE(1));
        feed.take(batchOf(bytes), 0);
      }
    } finally {
      feed.flush();
    }
  }

  #describe(oid: number): void {
    if (this.#described.has(oid)) return;
    this.#described.add(oid);
    const bytes = relation(oid, this.#tables.get(oid)!);
    const { feed } = this.#start.opened;
    feed.relation(bytes, 0, bytes.length, { relationId: oid, key: ['key'], types: new Map() });
  }
}

const batchOf = (bytes: Buffer): StreamBatch => ({
  bytes,
  count: 1,
  starts: Int32Array.of(0),
  ends: Int32Array.of(bytes.length),
  kinds: Uint8Array.of(0),
  oversizeBytes: 0,
});

// A server with one table, a stream, a backfill and a consumer, all pretended, but for what decides which rows are let in.
import { toLsn } from '../../../../src/core/lsn.ts';
import { decodeRelation } from '../../../../src/pgoutput/messages.ts';
import type { Chunk } from '../../../../src/postgres/backfill/chunk-reader.ts';
import { parseSnapshot } from '../../../../src/postgres/backfill/snapshot.ts';
import {
  admit,
  openWindow,
  showsAllBefore,
  type Window,
} from '../../../../src/pipeline/source/backfill/admission.ts';
import {
  StreamedTransactions,
  type Statement,
} from '../../../../src/pipeline/source/backfill/streamed-transactions.ts';
import { TableWatch } from '../../../../src/pipeline/source/backfill/table-watch.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
} from '../../../support/pgoutput-messages.ts';

export const WAL_BLOCK_BYTES = 8192;
export const COLUMNS = ['id', 'a', 'big'].map((name) => ({ name, type: 25, identity: name === 'id' }));
const RELATION_BYTES = relationMessage({
  id: 1,
  schema: 'public',
  table: 't',
  identity: 'd',
  columns: COLUMNS,
});
export const RELATION = decodeRelation(RELATION_BYTES, 0, RELATION_BYTES.length);

type Row = { readonly a: string; readonly big: string; readonly version: number };
/** What one transaction does to one row. */
type Op =
  | { readonly kind: 'put'; readonly id: string; readonly row: Row; readonly isNew: boolean }
  | { readonly kind: 'delete'; readonly id: string; readonly version: number }
  | { readonly kind: 'move'; readonly id: string; readonly to: string; readonly row: Row };
type Transaction = { readonly xid: number; readonly ops: Op[]; isCommitted: boolean; isVisible: boolean };

const idsOf = (op: Op): string[] => (op.kind === 'move' ? [op.id, op.to] : [op.id]);

function messageOf(op: Op): Buffer {
  switch (op.kind) {
    case 'put':
      return op.isNew
        ? insertMessage(1, [op.id, op.row.a, op.row.big])
        : updateMessage(1, [op.id, op.row.a, UNCHANGED]);
    case 'delete':
      return deleteMessage(1, { kind: 'key', row: [op.id, null, null] });
    case 'move':
      return updateMessage(1, [op.to, op.row.a, UNCHANGED], { kind: 'key', row: [op.id, null, null] });
    default:
      return op satisfies never;
  }
}

/** Rows are locked by who changed them until everybody sees it. */
export class Server {
  /** Committed before anybody streamed. */
  readonly past: Transaction[] = [];
  readonly wal: Transaction[] = [];
  readonly #open: Transaction[] = [];
  readonly latest = new Map<string, Row>();
  #nextXid = 100;
  #lastEnded = 99;
  #version = 0;

  begin(): void {
    this.#open.push({ xid: this.#nextXid++, ops: [], isCommitted: false, isVisible: false });
  }

  /** `kind`: 0 writes the row, 1 deletes it, 2 gives it the key `to`. */
  change(which: number, change: { readonly id: string; readonly kind: number; readonly to: string }): void {
    const { id, kind, to } = change;
    const transaction = this.#running(which);
    const others = this.#open.filter((other) => other !== transaction);
    const locked = others.flatMap(({ ops }) => ops.flatMap(idsOf));
    if (transaction === undefined || locked.includes(id) || locked.includes(to)) return;
    const row = this.latest.get(id);
    const version = ++this.#version;
    if (row === undefined || kind === 0) {
      const isNew = row === undefined;
      const put = { a: `a${version}`, big: isNew ? `big${version}` : row.big, version };
      this.latest.set(id, put);
      transaction.ops.push({ kind: 'put', id, row: put, isNew });
    } else if (kind === 1) {
      this.latest.delete(id);
      transaction.ops.push({ kind: 'delete', id, version });
    } else if (!this.latest.has(to)) {
      const moved = { ...row, version };
      this.latest.delete(id);
      this.latest.set(to, moved);
      transaction.ops.push({ kind: 'move', id, to, row: moved });
    }
  }

  commit(which: number): void {
    const transaction = this.#running(which);
    if (transaction === undefined) return;
    transaction.isCommitted = true;
    this.wal.push(transaction);
  }

  show(which: number): void {
    const hidden = this.#open.filter(({ isCommitted }) => isCommitted);
    const transaction = hidden[which % Math.max(1, hidden.length)];
    if (transaction === undefined) return;
    transaction.isVisible = true;
    this.#lastEnded = Math.max(this.#lastEnded, transaction.xid);
    this.#open.splice(this.#open.indexOf(transaction), 1);
  }

  #running(which: number): Transaction | undefined {
    const running = this.#open.filter(({ isCommitted }) => !isCommitted);
    return running[which % Math.max(1, running.length)];
  }

  /** What a statement that begins now reads. */
  select(ids: readonly string[]): readonly (readonly [string, Row])[] {
    const rows = new Map<string, Row>();
    for (const { isVisible, ops } of [...this.past, ...this.wal]) {
      if (!isVisible) continue;
      for (const op of ops) {
        rows.delete(op.id);
        if (op.kind !== 'delete') rows.set(op.kind === 'move' ? op.to : op.id, op.row);
      }
    }
    return [...rows].filter(([id]) => ids.includes(id));
  }

  get snapshot(): string {
    // As Postgres does it: behind the last one that has ended nothing is named, running or not.
    const xmax = this.#lastEnded + 1;
    const running = this.#open.map(({ xid }) => xid).filter((xid) => xid < xmax);
    return `0:${xmax}:${running.join(',')}`;
  }
}

/** Chunks that are read beside each other. */
const AT_ONCE = 3;

/** What a consumer knows of a row; `version`: of the last message about it. */
type Known = {
  readonly version: number;
  readonly row?: { readonly a: string; readonly big: string | undefined };
};

type Read = {
  readonly rows: readonly (readonly [string, Row])[];
  readonly chunk: Pick<Chunk, 'rows' | 'snapshot' | 'walBefore' | 'watermark'>;
};

/** A chunk from its window on; `read`: once its statement has taken its snapshot; `showsAll`: once that has ended. */
type Begun = {
  readonly ids: readonly string[];
  readonly window: Window;
  readonly statement: Statement;
  read?: Read;
  showsAll?: boolean;
};

export class World {
  readonly server = new Server();
  readonly consumer = new Map<string, Known>();
  readonly #watch = new TableWatch(['id'], { updatesAreTold: true });
  readonly #streamed = new StreamedTransactions(parseSnapshot('0:100:'), 100n);
  #streamedCount = 0;
  readonly #todo: (readonly string[])[];
  /** In the order in which they are let in. */
  readonly #begun: Begun[] = [];
  /** Rows that came after a newer change of them. */
  stale = 0;
  letInCount = 0;
  againCount = 0;

  constructor(chunks: readonly (readonly string[])[]) {
    this.#todo = [...chunks];
    this.#watch.relation(RELATION);
  }

  get isDone(): boolean {
    return this.#todo.length === 0 && this.#begun.length === 0;
  }

  stream(): void {
    const transaction = this.server.wal[this.#streamedCount];
    if (transaction === undefined) return;
    this.#streamed.came(transaction.xid);
    for (const op of transaction.ops) {
      const message = messageOf(op);
      this.#watch.row(message, 0, message.length);
      this.#tell(op);
    }
    this.#streamedCount++;
  }

  #tell(op: Op): void {
    if (op.kind === 'delete') return void this.consumer.set(op.id, { version: op.version });
    const { a, big, version } = op.row;
    // The message of a moved row says which one it was: what is known of that, and did not change, is the new one's.
    const known = this.consumer.get(op.id)?.row?.big;
    if (op.kind === 'move') {
      this.consumer.set(op.id, { version });
      this.consumer.set(op.to, { version, row: { a, big: known } });
      return;
    }
    this.consumer.set(op.id, { version, row: { a, big: op.isNew ? big : known } });
  }

  openWindow(): void {
    if (this.#begun.length < AT_ONCE && this.#todo.length > 0)
      this.#begun.push(this.#begin(this.#todo.shift()!));
  }

  #begin(ids: readonly string[]): Begun {
    const window = openWindow(this.#streamed, this.#watch, this.#reached);
    return { ids, window, statement: this.#streamed.statementBegins() };
  }

  /** The statement of one of those that are under way takes its snapshot; or it ends. */
  read(which: number): void {
    const underWay = this.#begun.filter(({ showsAll }) => showsAll === undefined);
    const one = underWay[which % Math.max(1, underWay.length)];
    if (one === undefined) return;
    if (one.read === undefined) return void (one.read = this.#select(one.ids));
    const { window, statement, read } = one;
    const { chunk } = read;
    one.showsAll = showsAllBefore({ readFrom: 'primary', window, chunk, streamed: this.#streamed });
    statement.ended();
  }

  #select(ids: readonly string[]): Read {
    const rows = this.server.select(ids);
    const messages = rows.map(([id, { a, big }]) => insertMessage(1, [id, a, big]));
    const ends = messages.map((_, i) => Buffer.concat(messages.slice(0, i + 1)).length);
    const chunk = {
      rows: {
        bytes: Buffer.concat(messages),
        count: rows.length,
        starts: Int32Array.from(ends, (end, i) => end - messages[i]!.length),
        ends: Int32Array.from(ends),
      },
      snapshot: parseSnapshot(this.server.snapshot),
      walBefore: toLsn(0n),
      watermark: lsnOf(this.server.wal.length),
    };
    return { rows, chunk };
  }

  letIn(): void {
    const [held] = this.#begun;
    if (held?.read === undefined || held.showsAll === undefined) return;
    const { ids, window, showsAll } = held;
    const { rows, chunk } = held.read;
    const admission = admit({
      window,
      chunk,
      showsAll,
      streamed: this.#streamed,
      watch: this.#watch,
      keyIndexes: [0],
      reached: this.#reached,
      walBlockBytes: WAL_BLOCK_BYTES,
    });
    if (admission.verdict === 'wait') return;
    this.#begun.shift();
    if (admission.verdict === 'again') {
      this.againCount++;
      this.#begun.unshift(this.#begin(ids));
    } else {
      this.letInCount += admission.kept.length;
      for (const i of admission.kept) {
        const [id, { a, big, version }] = rows[i]!;
        if ((this.consumer.get(id)?.version ?? 0) > version) this.stale++;
        this.consumer.set(id, { version, row: { a, big } });
      }
      const again = [...admission.partly, ...this.#watch.takeMovedInPart()].flat();
      if (again.length > 0) this.#todo.push(again);
    }
    const open = this.#begun.map((one) => one.window.changes);
    this.#watch.forgetBefore(Math.min(this.#watch.now, ...open));
  }

  get #reached() {
    return lsnOf(this.#streamedCount);
  }
}

const lsnOf = (transactions: number) => toLsn(BigInt(transactions) * 100n);

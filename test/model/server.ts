// A pretended primary in memory, as far as restarts can tell: a WAL of commits on timelines, one slot, publications with row
// versions. It can crash, be copied and restored, and give way to a standby.
import type { Client } from 'pg';
import { toLsn, type Lsn } from '../../src/core/lsn.ts';
import { answer } from './server-answers.ts';
import {
  ACTIONS,
  NOISE,
  PUBLICATIONS,
  TABLES,
  type Publication,
  type Row,
  type ServerState,
  type Transaction,
} from './server-state.ts';

const ROW_BYTES = 40n;
const COMMIT_BYTES = 48n;

/** What only grows, whatever server answers. */
type World = { commits: number; rows: number; starts: number; histories: number; timeUs: bigint };

export class PretendedServer {
  readonly world: World = { commits: 0, rows: 0, starts: 1, histories: 1, timeUs: 1_700_000_000_000_000n };
  /** 17 stops at what it cannot decode, 18 passes over it. */
  readonly version: number;
  state: ServerState;

  constructor(version: number) {
    this.version = version;
    this.state = {
      history: 1,
      timeline: 1,
      switches: [],
      walEnd: 1000n,
      wal: [],
      nextXid: 700,
      nextOid: 16_400,
      startedAt: 1,
      address: 1,
      slot: undefined,
      tables: new Map(),
      publications: new Map(),
      counted: new Set(),
    };
    for (const table of [...TABLES, NOISE]) this.state.tables.set(table, this.state.nextOid++);
    this.makePublication(PUBLICATIONS[1]);
    this.state.publications.get(PUBLICATIONS[1])!.members.set(this.state.tables.get(NOISE)!, {
      oid: this.state.nextOid++,
      xmin: 1,
    });
  }

  get walEnd(): Lsn {
    return toLsn(this.state.walEnd);
  }

  /** A transaction of rows of these tables and keys; `adjacent`: its commit record begins where the WAL ends. */
  commit(rows: readonly { readonly table: string; readonly key: number }[], adjacent = false): Transaction {
    const { state, world } = this;
    if (!adjacent) state.walEnd += ROW_BYTES * BigInt(rows.length + 1);
    const commitLsn = toLsn(state.walEnd);
    state.walEnd += COMMIT_BYTES;
    const made = rows.map(({ table, key }) => ({
      id: ++world.rows,
      table,
      oid: state.tables.get(table)!,
      key,
    }));
    world.timeUs += 1000n;
    const transaction: Transaction = {
      number: ++world.commits,
      commitLsn,
      endLsn: toLsn(state.walEnd),
      xid: this.#xid(),
      timeUs: world.timeUs,
      rows: made,
      published: Object.fromEntries(PUBLICATIONS.map((name) => [name, this.#publishedBy(name, made)])),
      counted: [...state.tables].filter(([, oid]) => state.counted.has(oid)).map(([table]) => table),
    };
    state.wal.push(transaction);
    return transaction;
  }

  #publishedBy(name: string, rows: readonly Row[]): number[] | undefined {
    const publication = this.state.publications.get(name);
    if (publication === undefined) return undefined;
    const publishes = publication.publishes.includes('insert');
    return rows.filter(({ oid }) => publishes && publication.members.has(oid)).map(({ id }) => id);
  }

  #xid(): number {
    return this.state.nextXid++;
  }

  /** WAL of others: nothing that we are sent. */
  idle(bytes: number): void {
    this.state.walEnd += BigInt(bytes);
  }

  makePublication(name: string): void {
    const { state } = this;
    const xmin = this.#xid();
    const publication = { oid: state.nextOid++, xmin, publishes: ACTIONS, members: new Map() };
    for (const table of TABLES) this.#join(publication, state.tables.get(table)!, xmin);
    state.publications.set(name, publication);
    this.idle(100);
  }

  #join(publication: Publication, table: number, xmin: number): void {
    publication.members.set(table, { oid: this.state.nextOid++, xmin });
    this.state.counted.add(table);
  }

  dropPublication(name: string): void {
    if (this.state.publications.delete(name)) this.#xid();
    this.idle(100);
  }

  publish(name: string, publishes: readonly string[] = ACTIONS): void {
    const publication = this.state.publications.get(name);
    if (publication === undefined) return;
    publication.xmin = this.#xid();
    publication.publishes = publishes;
    this.idle(60);
  }

  removeMember(name: string, table: string): void {
    if (this.state.publications.get(name)?.members.delete(this.state.tables.get(table)!) === true)
      this.#xid();
    this.idle(60);
  }

  /** Puts every table in that is not. */
  completeMembers(name: string): void {
    const publication = this.state.publications.get(name);
    for (const table of TABLES) {
      const oid = this.state.tables.get(table)!;
      if (publication === undefined || publication.members.has(oid)) continue;
      this.#join(publication, oid, this.#xid());
      this.idle(60);
    }
  }

  remakeTable(table: string): void {
    const { state } = this;
    const oid = state.tables.get(table)!;
    this.#xid();
    for (const { members } of state.publications.values()) members.delete(oid);
    state.tables.set(table, state.nextOid++);
    this.idle(200);
  }

  makeSlot(): Lsn {
    this.state.slot = { confirmed: this.walEnd, persisted: this.walEnd };
    return this.walEnd;
  }

  confirm(lsn: Lsn): void {
    const { slot } = this.state;
    if (slot !== undefined && lsn > slot.confirmed) slot.confirmed = lsn;
  }

  checkpoint(): void {
    const { slot } = this.state;
    if (slot !== undefined) slot.persisted = slot.confirmed;
    this.idle(80);
  }

  restart({ crash }: { readonly crash: boolean }): void {
    if (!crash) this.checkpoint();
    const { slot } = this.state;
    if (slot !== undefined) slot.confirmed = slot.persisted;
    this.state.startedAt = ++this.world.starts;
    this.idle(60);
  }

  /** Its files as they are; they stay what they are. */
  copy(): ServerState {
    return structuredClone(this.state);
  }

  /** Starts from a copy of its files. `timeline`: it was recovered from an archive and promoted. */
  restore(copy: ServerState, { timeline }: { readonly timeline: boolean }): void {
    const lost = this.state.walEnd > copy.walEnd;
    const before = this.state;
    this.state = structuredClone(copy);
    if (lost || before.history !== copy.history) this.state.history = ++this.world.histories;
    if (timeline) this.#promote();
    this.restart({ crash: true });
  }

  /** A standby that has everything up to the commit number `upTo` takes over, with the slot that was synchronized to it. */
  failOver(upTo: number, { withSlot }: { readonly withSlot: boolean }): void {
    const { state } = this;
    const kept = state.wal.filter(({ number }) => number <= upTo);
    if (kept.length < state.wal.length) {
      const lost = state.wal[kept.length]!;
      state.history = ++this.world.histories;
      state.walEnd = lost.commitLsn - ROW_BYTES * BigInt(lost.rows.length);
      if (kept.length > 0 && state.walEnd < kept.at(-1)!.endLsn) state.walEnd = kept.at(-1)!.endLsn;
      state.wal = kept;
    }
    const { slot } = state;
    if (slot !== undefined) {
      // What it was told beyond that the standby does not have.
      const persisted = slot.persisted < this.walEnd ? slot.persisted : this.walEnd;
      state.slot = withSlot ? { persisted, confirmed: persisted } : undefined;
    }
    state.address++;
    this.#promote();
    this.restart({ crash: true });
  }

  #promote(): void {
    const { state } = this;
    state.switches = [...state.switches, { timeline: state.timeline, switchLsn: this.walEnd }];
    state.timeline++;
    this.idle(120);
  }

  /** What START_REPLICATION brings, as the publication was when it was written. */
  stream(from: Lsn, publication: string): Transaction[] {
    const { slot, wal } = this.state;
    const start = slot !== undefined && slot.confirmed > from ? slot.confirmed : from;
    return wal.filter(
      ({ commitLsn, published }) => commitLsn >= start && published[publication]?.length !== 0,
    );
  }

  /** Answers the few statements that the proof and the looks ask, as `pg` would. */
  client(): Client {
    const query = (sql: string, parameters: readonly unknown[] = []): Promise<{ rows: unknown[] }> =>
      Promise.resolve({ rows: answer(this.state, sql, parameters) });
    return { query } as unknown as Client;
  }
}

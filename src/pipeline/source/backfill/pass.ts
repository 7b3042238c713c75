// One pass over a table, or over one partition: chunk by chunk, the next one being read while the one before waits to be let in.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { steadyMs } from '../../../core/clock.ts';
import type { TableName } from '../../../core/selection.ts';
import type { Chunk, ChunkReader } from '../../../postgres/backfill/chunk-reader.ts';
import { KEYS_AT_ONCE, ROWS_AT_ONCE, type ChunkCursor } from '../../../postgres/backfill/chunk-sql.ts';
import { uncommittedTransactions } from '../../../postgres/backfill/open-transactions.ts';
import type { BackfillTable } from '../../../postgres/backfill/table.ts';
import { admit, openWindow, type Admission, type LetIn, type ReadFrom, type Window } from './admission.ts';
import { appendRows, progressAfter, type AppendPorts } from './appending.ts';
import type { LeafPlace, PassCursor, PlacedProgress } from './place.ts';
import type { StreamGate } from './stream-gate.ts';
import type { StreamedTransactions } from './streamed-transactions.ts';
import type { TableWatch } from './table-watch.ts';

/** The table's progress: each step in place of the one before. */
export type Progressing = { progress: PlacedProgress };

/** What a pass is told of its backfill, and of the connection. */
export type PassPorts = AppendPorts & {
  readonly client: Client;
  readonly gate: StreamGate;
  readonly streamed: StreamedTransactions;
  readonly readFrom: ReadFrom;
  /** Resolves when the next chunk may be read, to how long (ms) some trouble has kept it from that. */
  ready(signal: AbortSignal): Promise<number>;
  /** So many rows were looked at. */
  hasRead(rows: number): void;
  /** What keeps the pass waiting; undefined: nothing does. */
  hold(why: string | undefined): void;
  /** Between two chunks. */
  between(): Promise<void>;
};

export type PassedTable = {
  /** As it was asked for: by its root, where it is a partition of that. */
  readonly name: TableName;
  readonly table: BackfillTable;
  readonly reader: ChunkReader;
  readonly watch: TableWatch;
  /** In the chunk's rows, the columns of the watch's key. */
  readonly keyIndexes: readonly number[];
  /** How its rows are described in the log. */
  readonly description: { readonly relation: Buffer; readonly enrichment: Buffer };
  /** The rows that were asked for, by their keys; undefined: all. */
  readonly keys: readonly (readonly string[])[] | undefined;
  /** Keys that somebody has: what of them the table does not have comes as deletes, behind its rows. */
  readonly gone: readonly (readonly string[])[];
};

/** altered, rewritten: chunk-reader.ts. */
export type PassOutcome = 'read' | 'altered' | 'rewritten';

/** A chunk that was read. */
type Held = {
  readonly kind: 'chunk';
  readonly part: Part;
  readonly window: Window;
  readonly chunk: Chunk;
  /** Was it found to show all that the stream had brought? */
  showsAll: boolean;
};
/** What a chunk is to be of: of the pass itself, or rows that are read once more. */
type Part = PassPart | { readonly of: 'again'; readonly keys: readonly (readonly string[])[] };
/** `next`: what follows it, where that does not depend on what is read. */
type PassPart = {
  readonly of: 'pass';
  readonly cursor: PassCursor | undefined;
  readonly ask: ChunkCursor | undefined;
  readonly next?: PassCursor;
};

/** A chunk of a table without a key, in whose window something was changed, is read again so often; then it is let in as it is. */
const MAX_TRIES_WITHOUT_KEY = 8;
const FIRST_BACKOFF_MS = 20;
const LONGEST_BACKOFF_MS = 2_000;
/** Transactions that do not become visible for so long are told of. */
const TELL_AFTER_MS = 5_000;

const END: PassCursor = { by: 'end' };

export class Pass {
  readonly #ports: PassPorts;
  readonly #what: PassedTable;
  readonly #state: Progressing;
  /** Where the next chunk begins: ahead of what is let in. */
  #readAt: PassCursor | undefined;
  /** Rows to be read once more that nobody reads yet. */
  #again: (readonly string[])[];
  readonly #windows = new Set<Window>();
  /** Of the chunks that are read, and not let in yet. */
  readonly #asked = new Set<Part>();
  /** How often the chunk at hand has been read. */
  #tries = 0;
  #waitsSinceMs: number | undefined;
  #activeSinceMs = steadyMs();

  /** The place of `state` is this table's: it goes on there. */
  constructor(what: PassedTable, state: Progressing, ports: PassPorts) {
    this.#what = what;
    this.#state = state;
    this.#ports = ports;
    const { cursor, again } = this.#leaf;
    this.#readAt = cursor ?? (what.keys === undefined ? undefined : { by: 'list', done: 0 });
    this.#again = [...again];
  }

  /** Behind the last row. */
  get #end(): PassCursor {
    return this.#what.gone.length === 0 ? END : { by: 'gone', done: 0 };
  }

  #behind({ next }: PassPart, { next: read }: Chunk): PassCursor {
    const isOfPass = read !== undefined && read.by !== 'rows' && read.by !== 'absent';
    return next ?? (isOfPass ? read : this.#end);
  }

  get #leaf(): LeafPlace {
    return this.#state.progress.cursor.leaf!;
  }

  /** Until everything is let in. Rejects with TailraceError or what `pg` throws, or when `signal` aborts. */
  async run(signal: AbortSignal): Promise<PassOutcome> {
    await this.#findEnd();
    let ahead = this.#readNext(signal);
    while (ahead !== undefined) {
      const held = await ahead;
      if (held.kind !== 'chunk') return held.kind;
      if (held.part.of === 'pass') this.#readAt = this.#behind(held.part, held.chunk);
      const following = this.#readNext(signal);
      // It is looked at when its turn comes.
      following?.catch(() => undefined);
      if (await this.#letIn(held, signal)) ahead = following ?? this.#readNext(signal);
      else {
        await this.#putBack(held, following);
        const { streamed, client } = this.#ports;
        if (streamed.hasSuspects) streamed.cleared(await uncommittedTransactions(client));
        await sleep(backoffMs(this.#tries), undefined, { signal });
        ahead = this.#readNext(signal);
      }
      await this.#ports.between();
    }
    return 'read';
  }

  /** A table without a key ends where it does now. */
  async #findEnd(): Promise<void> {
    if (this.#readAt !== undefined) return;
    const first = await this.#what.reader.first();
    if (first?.by === 'page') this.#readAt = first.pages === 0 ? this.#end : first;
  }

  /** Undefined: nothing is left that is not being read. */
  #readNext(signal: AbortSignal): Promise<Held | OtherOutcome> | undefined {
    const part = this.#nextPart();
    if (part === undefined) return undefined;
    this.#asked.add(part);
    return this.#read(part, signal);
  }

  #nextPart(): Part | undefined {
    if (this.#again.length > 0) return { of: 'again', keys: this.#again.splice(0, ROWS_AT_ONCE) };
    const cursor = this.#readAt;
    if (cursor?.by === 'end') return undefined;
    if (cursor?.by !== 'list' && cursor?.by !== 'gone') return { of: 'pass', cursor, ask: cursor };
    const { by } = cursor;
    const { keys = [], gone } = this.#what;
    const [all, atOnce, end] = by === 'list' ? [keys, ROWS_AT_ONCE, this.#end] : [gone, KEYS_AT_ONCE, END];
    const asked = all.slice(cursor.done, cursor.done + atOnce);
    if (asked.length === 0) return undefined;
    const done = cursor.done + asked.length;
    const next: PassCursor = done === all.length ? end : { by, done };
    const ask =
      by === 'list' ? ({ by: 'rows', keys: asked } as const) : ({ by: 'absent', keys: asked } as const);
    return { of: 'pass', cursor, ask, next };
  }

  async #read(part: Part, signal: AbortSignal): Promise<Held | OtherOutcome> {
    const { gate, streamed } = this.#ports;
    const heldMs = await this.#ports.ready(signal);
    this.#activeSinceMs = Math.min(steadyMs(), this.#activeSinceMs + heldMs);
    // Ahead of the statement: what comes from here on is remembered.
    const window = openWindow(streamed, this.#what.watch, gate.streamedTo);
    this.#windows.add(window);
    const ask: ChunkCursor | undefined = part.of === 'pass' ? part.ask : { by: 'rows', keys: part.keys };
    const outcome = await this.#what.reader.read(ask, signal);
    if (outcome.kind !== 'chunk') return outcome;
    this.#ports.hasRead(outcome.chunk.scanned);
    return { kind: 'chunk', part, window, chunk: outcome.chunk, showsAll: false };
  }

  /** What was read behind a chunk that has to be read again is read again, too. */
  async #putBack(held: Held, following: Promise<Held | OtherOutcome> | undefined): Promise<void> {
    const behind = await following;
    for (const each of [behind, held]) {
      if (each === undefined || each.kind !== 'chunk') continue;
      this.#windows.delete(each.window);
      this.#asked.delete(each.part);
      if (each.part.of === 'pass') this.#readAt = each.part.cursor;
      else this.#again.unshift(...each.part.keys);
    }
    const { progress } = this.#state;
    this.#state.progress = { ...progress, readAgain: progress.readAgain + held.chunk.rows.count };
  }

  /** Answers whether its rows are in the log, as far as they belong there. */
  async #letIn(held: Held, signal: AbortSignal): Promise<boolean> {
    const { gate, opened } = this.#ports;
    for (;;) {
      const admission = await gate.between(() => this.#attempt(held), signal);
      switch (admission.verdict) {
        case 'let in':
          this.#tries = 0;
          this.#waits(undefined);
          return true;
        case 'numbers':
          await opened.log.reserveNumbers(admission.count);
          break;
        case 'again':
          this.#tries++;
          if (admission.why === 'not visible yet') {
            this.#waits(
              'transactions that are committed, and streamed, are not visible yet: they wait for a synchronous standby, most likely (synchronous_standby_names)',
            );
          } else this.#waits(`${this.#what.table.schema}.${this.#what.table.table} is changed all the time`);
          return false;
        default:
          return admission satisfies never;
      }
    }
  }

  /** Where rows may be let in: one turn of the event loop, in which nothing else comes. */
  #attempt(
    held: Held,
  ): Exclude<Admission, { verdict: 'wait' }> | { verdict: 'numbers'; count: number } | undefined {
    const { gate, streamed, readFrom, walBlockBytes, opened } = this.#ports;
    const { watch, keyIndexes } = this.#what;
    const { chunk, window } = held;
    const isForced = keyIndexes.length === 0 && this.#tries >= MAX_TRIES_WITHOUT_KEY;
    const admission = admit({
      window,
      chunk,
      readFrom,
      streamed,
      watch,
      keyIndexes,
      reached: gate.reached,
      walBlockBytes,
      showsAll: held.showsAll,
      isForced,
    });
    // Asked at every batch: what it costs is asked once.
    held.showsAll ||= admission.verdict === 'wait';
    if (admission.verdict === 'wait') return undefined;
    if (admission.verdict === 'again') return admission;
    const { length } = admission.kept;
    if (!opened.log.hasNumbers(length)) return { verdict: 'numbers', count: length };
    this.#append(held, admission, isForced && watch.hasChangedAll(window.changes));
    return admission;
  }

  #append(held: Held, admission: LetIn, isOverrun: boolean): void {
    const { watch, table, name, description } = this.#what;
    const { chunk, part } = held;
    const { kept, partly } = admission;
    this.#windows.delete(held.window);
    this.#asked.delete(part);
    this.#again.push(...partly, ...watch.takeMovedInPart());
    watch.forgetBefore(Math.min(watch.now, ...[...this.#windows].map(({ changes }) => changes)));
    const leaf: LeafPlace = {
      ...this.#leaf,
      ...(part.of === 'pass' && { cursor: this.#behind(part, chunk) }),
      again: [
        ...[...this.#asked].flatMap((asked) => (asked.of === 'again' ? asked.keys : [])),
        ...this.#again,
      ],
    };
    const nowMs = steadyMs();
    const { epoch } = this.#ports.opened;
    const next = progressAfter(this.#state.progress, {
      chunk,
      admission,
      leaf,
      epoch,
      activeMs: nowMs - this.#activeSinceMs,
      note: isOverrun ? overrun(table) : undefined,
    });
    this.#activeSinceMs = nowMs;
    // Without rows nothing could be ahead of them, or behind.
    if (kept.length > 0) appendRows(this.#ports, { name, description, chunk, kept, progress: next });
    this.#state.progress = next;
  }

  #waits(why: string | undefined): void {
    if (why === undefined) {
      if (this.#waitsSinceMs !== undefined) this.#ports.hold(undefined);
      this.#waitsSinceMs = undefined;
      return;
    }
    this.#waitsSinceMs ??= steadyMs();
    if (steadyMs() - this.#waitsSinceMs >= TELL_AFTER_MS) this.#ports.hold(why);
  }
}

type OtherOutcome = { readonly kind: 'altered' | 'rewritten' };

const backoffMs = (tries: number): number =>
  Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(tries, 10));

const overrun = ({ schema, table }: BackfillTable): string =>
  `${schema}.${table} has no key, and is changed all the time: a row may have come that is older than a change of it`;

// One pass over a table, or over one partition: its chunks are read ahead (read-ahead.ts), and let in one after the other, in order.
import { setTimeout as sleep } from 'node:timers/promises';
import { steadyMs } from '../../../core/clock.ts';
import type { TableName } from '../../../core/selection.ts';
import { uncommittedTransactions } from '../../../postgres/backfill/open-transactions.ts';
import type { ReadingConnections } from '../../../postgres/backfill/reading-connections.ts';
import type { BackfillTable } from '../../../postgres/backfill/table.ts';
import { admit, type Admission, type LetIn, type ReadFrom } from './admission.ts';
import { appendRows, progressAfter, type AppendPorts } from './appending.ts';
import type { ChunkRead } from './live-first.ts';
import type { LeafPlace, PlacedProgress } from './place.ts';
import { ReadAhead, type Held, type ReadAheadOf } from './read-ahead.ts';
import type { StreamGate } from './stream-gate.ts';
import type { StreamedTransactions } from './streamed-transactions.ts';

/** The table's progress: each step in place of the one before. */
export type Progressing = { progress: PlacedProgress };

/** What a pass is told of its backfill, and of the connection. */
export type PassPorts = AppendPorts & {
  readonly connections: ReadingConnections;
  readonly gate: StreamGate;
  readonly streamed: StreamedTransactions;
  readonly readFrom: ReadFrom;
  /** Resolves when the next chunk may be read, to how long (ms) some trouble has kept it from that. */
  ready(signal: AbortSignal): Promise<number>;
  /** So many chunks may be on their way to the log. */
  mostAtOnce(): number;
  /** One was: see `ReadAheadPorts`. */
  ended(read: ChunkRead): void;
  /** What keeps the pass waiting; undefined: nothing does. */
  hold(why: string | undefined): void;
  /** Between two chunks. */
  between(): Promise<void>;
};

export type PassedTable = ReadAheadOf & {
  /** As it was asked for: by its root, where it is a partition of that. */
  readonly name: TableName;
  readonly table: BackfillTable;
  /** In the chunk's rows, the columns of the watch's key. */
  readonly keyIndexes: readonly number[];
  /** How its rows are described in the log. Asked where the first are let in: until then the catalog may say otherwise. */
  describe(): Description;
};

type Description = { readonly relation: Buffer; readonly enrichment: Buffer };

/** altered: chunk-reader.ts. */
export type PassOutcome = 'read' | 'altered';

/** A chunk of a table without a key, in whose window something was changed, is read again so often; then it is let in as it is. */
const MAX_TRIES_WITHOUT_KEY = 8;
const FIRST_BACKOFF_MS = 20;
const LONGEST_BACKOFF_MS = 2_000;
/** Transactions that do not become visible for so long are told of. */
const TELL_AFTER_MS = 5_000;

export class Pass {
  readonly #ports: PassPorts;
  readonly #what: PassedTable;
  readonly #state: Progressing;
  #description: Description | undefined;
  /** How often the chunk at hand has been read. */
  #tries = 0;
  #waitsSinceMs: number | undefined;
  #activeSinceMs = steadyMs();

  /** The place of `state` is this table's: it goes on there. */
  constructor(what: PassedTable, state: Progressing, ports: PassPorts) {
    this.#what = what;
    this.#state = state;
    this.#ports = ports;
  }

  get #leaf(): LeafPlace {
    return this.#state.progress.cursor.leaf!;
  }

  /** Until everything is let in. Rejects with TailraceError or what `pg` throws, or when `signal` aborts. */
  async run(signal: AbortSignal): Promise<PassOutcome> {
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const { cursor, again } = this.#leaf;
    const ports = { ...this.#ports, ready: () => this.#ready(either) };
    const ahead = new ReadAhead(this.#what, { cursor, again }, { ports, signal: either });
    try {
      return await this.#letAllIn(ahead, either);
    } finally {
      over.abort();
      await ahead.settled();
    }
  }

  async #letAllIn(ahead: ReadAhead, signal: AbortSignal): Promise<PassOutcome> {
    await ahead.findEnd();
    for (let next = ahead.take(); next !== undefined; next = ahead.take()) {
      const read = await next;
      if (read === undefined) continue;
      if (read.kind !== 'chunk') return read.kind;
      const held = ahead.divided(read);
      ahead.fill();
      if (!(await this.#letIn(held, ahead, signal))) {
        await this.#beforeRepeating(held, signal);
        ahead.repeat(held);
      }
      await this.#ports.between();
    }
    return 'read';
  }

  async #ready(signal: AbortSignal): Promise<void> {
    const heldMs = await this.#ports.ready(signal);
    this.#activeSinceMs = Math.min(steadyMs(), this.#activeSinceMs + heldMs);
  }

  async #beforeRepeating({ chunk }: Held, signal: AbortSignal): Promise<void> {
    const { streamed, connections } = this.#ports;
    const { progress } = this.#state;
    this.#state.progress = { ...progress, readAgain: progress.readAgain + chunk.rows.count };
    if (streamed.hasSuspects) streamed.cleared(await connections.use(uncommittedTransactions));
    await sleep(backoffMs(this.#tries), undefined, { signal });
  }

  /** Answers whether its rows are in the log, as far as they belong there. */
  async #letIn(held: Held, ahead: ReadAhead, signal: AbortSignal): Promise<boolean> {
    const { gate, opened } = this.#ports;
    for (;;) {
      const admission = await gate.between(() => this.#attempt(held, ahead), signal);
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
    ahead: ReadAhead,
  ): Exclude<Admission, { verdict: 'wait' }> | { verdict: 'numbers'; count: number } | undefined {
    const { gate, streamed, walBlockBytes, opened } = this.#ports;
    const { watch, keyIndexes } = this.#what;
    const { chunk, window } = held;
    const isForced = keyIndexes.length === 0 && this.#tries >= MAX_TRIES_WITHOUT_KEY;
    const admission = admit({
      window,
      chunk,
      streamed,
      watch,
      keyIndexes,
      reached: gate.reached,
      walBlockBytes,
      showsAll: held.showsAll,
      isForced,
    });
    if (admission.verdict === 'wait') return undefined;
    if (admission.verdict === 'again') return admission;
    const { length } = admission.kept;
    if (!opened.log.hasNumbers(length)) return { verdict: 'numbers', count: length };
    this.#append(held, ahead, admission, isForced && watch.hasChangedAll(window.changes));
    return admission;
  }

  #append(held: Held, ahead: ReadAhead, admission: LetIn, isOverrun: boolean): void {
    const { watch, table, name, reader } = this.#what;
    const { chunk, part } = held;
    const { kept, partly } = admission;
    watch.forgetBefore(ahead.done(held, [...partly, ...watch.takeMovedInPart()]));
    const leaf: LeafPlace = {
      ...this.#leaf,
      ...(part.of === 'pass' && { cursor: part.next }),
      again: ahead.again,
    };
    const nowMs = steadyMs();
    const { gate, opened } = this.#ports;
    const next = progressAfter(this.#state.progress, {
      chunk,
      admission,
      leaf,
      epoch: opened.epoch,
      streamedTo: gate.streamedTo,
      activeMs: nowMs - this.#activeSinceMs,
      note: isOverrun ? overrun(table) : undefined,
    });
    this.#activeSinceMs = nowMs;
    // Without rows nothing could be ahead of them, or behind.
    if (kept.length > 0) {
      const description = (this.#description ??= this.#what.describe());
      appendRows(this.#ports, { name, description, chunk, kept, progress: next });
    }
    reader.release(chunk);
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

const backoffMs = (tries: number): number =>
  Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(tries, 10));

const overrun = ({ schema, table }: BackfillTable): string =>
  `${schema}.${table} has no key, and is changed all the time: a row may have come that is older than a change of it`;

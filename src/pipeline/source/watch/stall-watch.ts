// Watches whether anything moves: gathers what stall.ts judges, says what it finds in status and log, and ends a connection that is dead.
import type { Client } from 'pg';
import type { TailraceError } from '../../../core/errors.ts';
import type { Lsn } from '../../../core/lsn.ts';
import { STALL_CAUSES } from '../../../core/status.ts';
import type { Slot } from '../../../postgres/preflight/slot.ts';
import type { ReplicationStream } from '../../../postgres/replication/stream.ts';
import type { DatabaseSettings } from '../../../postgres/settings.ts';
import type { FlushKeeper } from '../flush.ts';
import type { SourceState } from '../status.ts';
import { stallCode, stallFault } from './heals.ts';
import type { MarkerLoop } from './marker.ts';
import { Still } from './progress.ts';
import { isSuspicious, stallOf, type Stall, type StallFacts, type WalsenderFacts } from './stall.ts';
import { readWalsender } from './walsender.ts';

export type StallPorts = {
  readonly client: Client;
  /** Backend of the replication connection. */
  readonly pid: number;
  readonly settings: DatabaseSettings;
  readonly keeper: Pick<FlushKeeper, 'flushed' | 'walEnd' | 'unsyncedBytes' | 'durableEnd' | 'holders'>;
  readonly stream: Pick<ReplicationStream, 'confirmed' | 'receivedBytes'>;
  /** By the sinks' names, their slots in the signals. */
  readonly sinkSlots: ReadonlyMap<string, number>;
  /** Is there room for what comes? */
  readonly isReading: () => boolean;
  /** Undefined: we may write none. */
  readonly markers: MarkerLoop | undefined;
  readonly state: SourceState;
  readonly warn: (error: TailraceError) => void;
};

/** A slot that is active for another process, or for none, is looked at again: the view may be a moment behind. */
const GONE_LOOKS = 2;

export class StallWatch {
  readonly #ports: StallPorts;
  readonly #flushed = new Still<Lsn>();
  readonly #received = new Still<number>();
  readonly #durable = new Still<number>();
  /** What the slot says, while that is less than what it was told. */
  #lateSinceMs: number | undefined;
  #gone = 0;

  constructor(ports: StallPorts) {
    this.#ports = ports;
  }

  /** Throws where only a new connection helps. */
  async look(seen: { readonly slot: Slot; readonly walEnd: Lsn; readonly nowMs: number }): Promise<void> {
    const facts = this.#facts(seen);
    const isOurs = seen.slot.activePid === this.#ports.pid;
    const walsender = isOurs && !isSuspicious(facts) ? undefined : await this.#walsender();
    this.#say(stallOf({ ...facts, walsender }));
  }

  /** The connection ends: what was said of it is over. */
  end(): void {
    this.#say(undefined);
  }

  async #walsender(): Promise<WalsenderFacts | undefined> {
    const { client, pid, settings } = this.#ports;
    const facts = await readWalsender(client, pid, settings.slot.name);
    this.#gone = facts.present ? 0 : this.#gone + 1;
    return facts.present || this.#gone >= GONE_LOOKS ? facts : undefined;
  }

  #facts({
    slot,
    walEnd,
    nowMs,
  }: {
    readonly slot: Slot;
    readonly walEnd: Lsn;
    readonly nowMs: number;
  }): Omit<StallFacts, 'walsender'> {
    const { keeper, stream, settings, sinkSlots, markers } = this.#ports;
    if (slot.confirmedFlush >= stream.confirmed) this.#lateSinceMs = undefined;
    else this.#lateSinceMs ??= nowMs;
    // Only while something waits for the disk does it stand still.
    const durable = keeper.unsyncedBytes === 0 ? nowMs : keeper.durableEnd;
    const holders = new Set(keeper.holders());
    return {
      limitMs: settings.receiveTimeoutMs,
      walEnd,
      flushed: keeper.flushed,
      flushedStillForMs: this.#flushed.forMs(keeper.flushed, nowMs),
      silentForMs: this.#received.forMs(stream.receivedBytes, nowMs),
      reading: this.#ports.isReading(),
      repliesLateForMs: this.#lateSinceMs === undefined ? 0 : nowMs - this.#lateSinceMs,
      logged: keeper.walEnd,
      unsyncedBytes: keeper.unsyncedBytes,
      durableStillForMs: this.#durable.forMs(durable, nowMs),
      holdingSinks: [...sinkSlots].filter(([, slot]) => holders.has(slot)).map(([name]) => name),
      markerMissingForMs: markers?.missingForMs(nowMs),
    };
  }

  #say(stall: Stall | undefined): void {
    const { state, settings, warn } = this.#ports;
    const said = stall && stallFault(stall, settings);
    if (said?.heals === true) throw said.error;
    state.stall = stall?.cause;
    for (const cause of STALL_CAUSES) {
      state.raise(stallCode(cause), cause === stall?.cause ? said?.error : undefined, warn);
    }
  }
}

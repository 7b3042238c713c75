// The sinks of one life of the service: each takes its place once there is a log to follow, and is made anew where a full disk ends it.
import { existsSync } from 'node:fs';
import type { FollowedLog } from '../../src/core/log-life.ts';
import type { LogSignals } from '../../src/log/signals.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import type { PlaceOptions } from '../../src/pipeline/sink/place.ts';
import { DATABASE, silent, type ProcessOptions } from './process-options.ts';
import { ModelSink } from './sink.ts';
import { isDiskFull } from './store.ts';

/** How the log is followed, since the first connection. */
export type Following = {
  readonly log: FollowedLog;
  /** The first sinks of all, which begin where the log does. */
  readonly first: ReadonlySet<string>;
};

export class ModelSinks {
  readonly #options: ProcessOptions;
  readonly #signals: LogSignals;
  /** By their slots, those that run. */
  readonly #running = new Map<number, ModelSink>();

  constructor(options: ProcessOptions, signals: LogSignals) {
    this.#options = options;
    this.#signals = signals;
  }

  get running(): readonly ModelSink[] {
    return [...this.#running.values()];
  }

  /** Those that do not run take their places. */
  async open(following: Following): Promise<void> {
    const { sinks, watcherOf, begins } = this.#options;
    for (const [slot, { name }] of sinks.entries()) {
      const running = this.#running.get(slot);
      if (running?.isPast === false) continue;
      if (running !== undefined) {
        await this.#with(slot, () => running.end({ killed: false }));
        this.#running.delete(slot);
      }
      const place = this.#placeOf(slot, following);
      await this.#with(slot, async () => {
        if (this.#isNew(place)) await begins(place);
        this.#running.set(slot, await ModelSink.open(place, watcherOf(name)));
      });
    }
  }

  #placeOf(slot: number, { log, first }: Following): PlaceOptions {
    const { sinks, store, logDirectory, ledgerDirectory } = this.#options;
    const { name, start, selection } = sinks[slot]!;
    return {
      settings: {
        name,
        database: DATABASE,
        status: 'active',
        start,
        selection,
        tables: [],
        actions: ['insert'],
      } as unknown as SinkSettings,
      logDirectory,
      log,
      signals: this.#signals,
      slot,
      ledgerFile: `${ledgerDirectory}/${name}.ledger`,
      newSinkStart: first.has(name) ? 'earliest' : 'end',
      onGap: 'halt',
      heedsSkips: false,
      store,
      logger: silent,
    };
  }

  /** Nobody knows of it. */
  #isNew({ settings, ledgerFile }: PlaceOptions): boolean {
    const record = this.#options.store.sinks.find({ database: DATABASE, sink: settings.name });
    return !existsSync(ledgerFile) && record?.hasBegun !== true;
  }

  /** A sink that meets a full disk ends. */
  async #with(slot: number, work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const sink = this.#running.get(slot);
      this.#running.delete(slot);
      await sink?.end({ killed: true });
      if (!isDiskFull(error)) throw error;
    }
  }

  /** Something that one of the sinks that run does: the `pick`th of them. */
  async one(pick: number, work: (sink: ModelSink) => void | Promise<void>): Promise<void> {
    const [slot, sink] = [...this.#running][pick] ?? [];
    if (sink !== undefined) await this.#with(slot!, () => work(sink));
  }

  async end(how: { readonly killed: boolean }): Promise<void> {
    for (const [slot, sink] of this.#running) {
      await this.#with(slot, async () => {
        this.#running.delete(slot);
        await sink.end(how);
      });
    }
  }
}

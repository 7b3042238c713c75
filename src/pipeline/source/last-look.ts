// Keeps the last look beside the log, so that what the log holds stays proved, whatever becomes of the store.
import { join } from 'node:path';
import { steadyMs } from '../../core/clock.ts';
import { TailraceError } from '../../core/errors.ts';
import type { Look } from '../../core/look.ts';
import { fileError } from '../../log/errors.ts';
import { LOOK_FILE, readLookFile, writeLookFile, type KeptLook } from '../../store/look-file.ts';
import type { Salts } from '../../store/renumbered.ts';
import { storeSilent, type GapKeeper } from './gaps.ts';
import type { SourceOptions } from './options.ts';

/** One that sees nothing new only moves the beginning of a gap, should the store be lost. */
const INTERVAL_MS = 60_000;

export class LastLook {
  readonly #options: SourceOptions;
  readonly #gapKeeper: GapKeeper;
  #written: { readonly look: Look; readonly atMs: number } | undefined;

  constructor(options: SourceOptions, gapKeeper: GapKeeper) {
    this.#options = options;
    this.#gapKeeper = gapKeeper;
  }

  /** What the store has lost of it is there again when this returns. Throws STORE_SILENT, GAP_NOT_RECORDED, LOG_VERSION. */
  recall(): void {
    const { store, directory, settings } = this.#options;
    const { name: database } = settings;
    const kept = this.#read(directory);
    if (kept === undefined) return;
    try {
      if (store.looks.has(database, kept.look)) return;
      for (const gap of kept.open) this.#gapKeeper.declare(gap);
      this.#recallSalts(kept.salts);
      store.looks.add(database, kept.look, true);
    } catch (error) {
      throw error instanceof TailraceError ? error : storeSilent(database, error);
    }
  }

  /** Undefined also for a file that cannot be read: as if it were lost, with a word. */
  #read(directory: string): KeptLook | undefined {
    try {
      return readLookFile(directory);
    } catch (error) {
      if (!(error instanceof TailraceError) || error.code !== 'LOOK_DAMAGED') throw error;
      this.#options.logger.warn(
        { database: this.#options.settings.name, err: error },
        'the last look is damaged',
      );
      return undefined;
    }
  }

  /** As they were: without them a change would come with the key of another one. */
  #recallSalts(salts: Salts): void {
    const { store, settings } = this.#options;
    const known = new Set(store.renumbered.salts(settings.name).map(({ salt }) => salt));
    for (const range of salts.toReversed())
      if (!known.has(range.salt)) store.renumbered.add(settings.name, range);
  }

  /** Durable when it returns. Throws TailraceError. */
  keep(look: Look): void {
    const { store, directory, settings } = this.#options;
    // What a look says of the one before that bounds its gaps, in one.
    const bound = store.looks.endBefore(settings.name, look.server, look.xmin);
    const open = this.#gapKeeper.open().map(({ gap, ends }) => {
      const { id: _id, since: _since, acceptedAt: _acceptedAt, ...declared } = gap;
      return { ...declared, ends };
    });
    try {
      const salts = store.renumbered.salts(settings.name);
      writeLookFile(directory, { look: { ...look, walBefore: bound, begun: look.xmin }, open, salts });
    } catch (error) {
      throw fileError(error, join(directory, LOOK_FILE), 'write the last look at the catalog,');
    }
    this.#written = { look, atMs: steadyMs() };
  }

  /** Does this one say more than what is kept? */
  isNews({ fold, publication }: Look): boolean {
    const { look, atMs } = this.#written ?? {};
    const isSame = look?.fold === fold && look.publication === publication;
    return !isSame || steadyMs() - atMs! > INTERVAL_MS;
  }
}

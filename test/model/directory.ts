// The disk of the model: the data directory with log and ledgers, the store beside it, and what befalls them.
import { recordOf, watchDisk, type WatchedDisk } from '../support/power-cut.ts';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStore } from '../../src/store/sqlite.ts';
import { modelStore, type ModelStore } from './store.ts';

const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const STORE_SUFFIXES = ['', '-wal'];

let emptyStore: string | undefined;

/** Made once: to make its tables takes longer than a life of the model. */
function copyEmptyStore(to: string): void {
  if (emptyStore === undefined) {
    emptyStore = join(mkdtempSync(join(SCRATCH, 'tailrace-model-store-')), 'store.db');
    openStore(emptyStore).close();
  }
  cpSync(emptyStore, to);
}
export function removeEmptyStore(): void {
  if (emptyStore !== undefined) rmSync(join(emptyStore, '..'), { recursive: true });
  emptyStore = undefined;
}

/** Whoever touches files stops the service first, or it was killed. */
export class ModelDirectory {
  readonly #root = mkdtempSync(join(SCRATCH, 'tailrace-model-'));
  /** Does anything ask what is durable? */
  readonly #isWatched: boolean;
  #disk: WatchedDisk | undefined;
  #store: ModelStore;
  /** Bytes that the disk still takes. */
  #room = Infinity;

  constructor({ isWatched }: { readonly isWatched: boolean }) {
    this.#isWatched = isWatched;
    mkdirSync(this.#data);
    copyEmptyStore(this.#storeFile);
    this.#store = this.#openStore();
    this.#watch();
  }

  get #data(): string {
    return join(this.#root, 'data');
  }
  get #backup(): string {
    return join(this.#root, 'backup');
  }
  get #storeFile(): string {
    return join(this.#root, 'store.db');
  }
  get ledgers(): string {
    return join(this.#data, 'ledger');
  }
  get log(): string {
    return join(this.#data, 'log');
  }
  get store(): ModelStore {
    return this.#store;
  }

  #openStore(): ModelStore {
    return modelStore(openStore(this.#storeFile), () => this.#disk?.room === 0);
  }

  #watch(): void {
    if (!this.#isWatched) return;
    this.#disk = watchDisk(this.#data);
    this.#disk.leaveRoom(this.#room);
  }

  /** Others fill the disk up to so many bytes. Infinity: they have made room. */
  leaveRoom(bytes: number): void {
    this.#room = bytes;
    this.#disk?.leaveRoom(bytes);
  }

  #unwatch(): void {
    this.#room = this.#disk?.room ?? this.#room;
    this.#disk?.unwatch();
    this.#disk = undefined;
    rmSync(recordOf(this.#data), { recursive: true, force: true });
  }

  /** What an operator does here is durable. */
  #byHand(work: () => void): void {
    this.#unwatch();
    work();
    this.#watch();
  }

  /** The power goes, and `end` is how the process ends. `chance`: some of what was not synced survives. */
  async cutPower(chance: (() => number) | undefined, end: () => Promise<void>): Promise<void> {
    const image = join(this.#root, 'image');
    this.#disk!.record.writeSurvivors(image, chance);
    this.#disk!.unwatch();
    await end();
    this.#byHand(() => {
      rmSync(this.#data, { recursive: true });
      renameSync(image, this.#data);
    });
  }

  /** Answers whether there was one. */
  moveLogAway(): boolean {
    if (!existsSync(this.log)) return false;
    this.#byHand(() => renameSync(this.log, join(this.#root, `log.moved-${readdirSync(this.#root).length}`)));
    return true;
  }

  deleteLedger(sink: string): void {
    this.#byHand(() => rmSync(join(this.ledgers, `${sink}.ledger`), { force: true }));
  }

  deleteStore(): void {
    this.#replaceStore(copyEmptyStore);
  }

  #replaceStore(write: (file: string) => void): void {
    this.#store.close();
    for (const suffix of [...STORE_SUFFIXES, '-shm']) rmSync(this.#storeFile + suffix, { force: true });
    write(this.#storeFile);
    this.#store = this.#openStore();
  }

  /** Also under a service that runs. */
  copy(): void {
    rmSync(this.#backup, { recursive: true, force: true });
    cpSync(this.#data, join(this.#backup, 'data'), { recursive: true });
    this.#copyStore(this.#storeFile, join(this.#backup, 'store.db'));
  }

  get hasCopy(): boolean {
    return existsSync(this.#backup);
  }

  putBack(): void {
    this.#byHand(() => {
      rmSync(this.#data, { recursive: true });
      cpSync(join(this.#backup, 'data'), this.#data, { recursive: true });
      this.#replaceStore((file) => this.#copyStore(join(this.#backup, 'store.db'), file));
    });
  }

  #copyStore(from: string, to: string): void {
    for (const suffix of STORE_SUFFIXES) if (existsSync(from + suffix)) cpSync(from + suffix, to + suffix);
  }

  remove(): void {
    this.#store.close();
    this.#unwatch();
    rmSync(this.#root, { recursive: true, force: true });
  }
}

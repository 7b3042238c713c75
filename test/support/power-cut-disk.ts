// What a disk holds after a power cut: beside a directory, a record of what was synced of it, files and names apart.
//
// <record>/journal      one JSON a line: names that a directory gained or lost, and when they were synced
// <record>/files/<id>   what a file durably holds; none: nothing
// <record>/held/<id>    links to files that have lost their name, so that their numbers are not given out again
//
// The record lies in files, so that it outlives a process that is killed, and several threads may keep it: what a power
// cut leaves is worked out from it afterwards.
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  DIRECTORY,
  mixedContent,
  readJournal,
  survivingNames,
  type Chance,
  type EntryChange,
  type EntryId,
  type Journal,
  type JournalLine,
} from './power-cut-survivors.ts';

/** Bytes of a file that were written, by their place. */
export type Piece = { readonly start: number; readonly bytes: Buffer };

const SQLITE_MAGIC = 'SQLite format 3\0';

export function entryIdOf(path: string): EntryId {
  const stats = lstatSync(path, { bigint: true });
  return stats.isDirectory() ? DIRECTORY : String(stats.ino);
}

export class DiskRecord {
  readonly directory: string;
  readonly #record: string;

  /** Goes on with the record that is there; or takes `directory`, which exists, for durable as it stands. */
  constructor(directory: string, record: string) {
    this.directory = directory;
    this.#record = record;
    if (existsSync(record)) return;
    for (const name of ['files', 'held']) mkdirSync(join(record, name), { recursive: true });
    this.#takeOver('');
  }

  #takeOver(directory: string): void {
    const change: Record<string, EntryId> = {};
    for (const name of readdirSync(join(this.directory, directory))) {
      const path = join(this.directory, directory, name);
      const id = (change[name] = entryIdOf(path));
      if (id === DIRECTORY) this.#takeOver(join(directory, name));
      else copyFileSync(path, this.#file(id));
    }
    this.change(directory, change);
    this.synced(this.syncing(directory));
  }

  readonly #file = (id: EntryId): string => join(this.#record, 'files', id);
  readonly #held = (id: EntryId): string => join(this.#record, 'held', id);

  /** One write a line: threads do not tear each other's. */
  #note(line: JournalLine): void {
    appendFileSync(join(this.#record, 'journal'), `${JSON.stringify(line)}\n`);
  }

  /** `directory`: relative to the one that is watched. */
  change(directory: string, change: EntryChange): void {
    this.#note({ directory, change });
  }

  /** A sync of the names begins; what it answers is given to `synced` once the disk has answered. */
  syncing(directory: string): string {
    const syncing = crypto.randomUUID();
    this.#note({ directory, syncing });
    return syncing;
  }

  synced(token: string): void {
    this.#note({ synced: token });
  }

  /** Of a new file nothing is durable, whatever file had its number before. */
  made(id: EntryId): void {
    rmSync(this.#file(id), { force: true });
  }

  /** Call it before the file at `path` loses its name. */
  hold(id: EntryId, path: string): void {
    if (!existsSync(this.#held(id))) linkSync(path, this.#held(id));
  }

  /** These pieces are durable, and that the file is so large. */
  keep(id: EntryId, size: number, pieces: readonly Piece[]): void {
    const file = this.#file(id);
    const fd = openSync(file, existsSync(file) ? 'r+' : 'w');
    try {
      for (const { start, bytes } of pieces) writeSync(fd, bytes, 0, bytes.length, start);
      ftruncateSync(fd, size);
    } finally {
      closeSync(fd);
    }
  }

  /** Writes what a power cut now would leave into `target`, a new directory. */
  writeSurvivors(target: string, chance?: Chance): void {
    const survival = {
      journal: this.#readJournal(),
      present: this.#presentFiles(),
      chance,
    };
    this.#write('', target, survival);
  }

  /** The power goes: the directory holds what survives. Nobody may use it meanwhile; a new record begins with it. */
  cut(chance?: Chance): void {
    const image = `${this.#record}.image`;
    this.writeSurvivors(image, chance);
    for (const name of readdirSync(this.directory)) {
      rmSync(join(this.directory, name), { recursive: true, force: true });
    }
    for (const name of readdirSync(image)) renameSync(join(image, name), join(this.directory, name));
    rmSync(image, { recursive: true });
    rmSync(this.#record, { recursive: true });
  }

  #write(directory: string, target: string, survival: Survival): void {
    mkdirSync(target, { recursive: true, mode: 0o700 });
    const { journal, present, chance } = survival;
    const names = survivingNames(journal, directory, chance);
    for (const [name, id] of namesIn(join(this.directory, directory))) {
      if (isForeign(id, survival)) names.set(name, id);
    }
    for (const [name, id] of names) {
      const path = join(target, name);
      const source = present.get(id);
      if (id === DIRECTORY) this.#write(join(directory, name), path, survival);
      else if (isForeign(id, survival)) copyFileSync(source!, path);
      else writeFileSync(path, this.#content(id, source, chance), { mode: 0o600 });
    }
  }

  #content(id: EntryId, source: string | undefined, chance: Chance | undefined): Buffer {
    const durable = existsSync(this.#file(id)) ? readFileSync(this.#file(id)) : Buffer.alloc(0);
    if (chance === undefined || source === undefined) return durable;
    return mixedContent(durable, readFileSync(source), chance);
  }

  #readJournal(): Journal {
    const lines = readFileSync(join(this.#record, 'journal'), 'utf8').trimEnd().split('\n');
    return readJournal(lines.map((line) => JSON.parse(line) as JournalLine));
  }

  /** Where each file's bytes are now, as the process left them. */
  #presentFiles(): Map<EntryId, string> {
    const present = new Map<EntryId, string>();
    const held = join(this.#record, 'held');
    for (const name of readdirSync(held)) present.set(name, join(held, name));
    const collect = (directory: string): void => {
      for (const [name, id] of namesIn(directory)) {
        if (id === DIRECTORY) collect(join(directory, name));
        else present.set(id, join(directory, name));
      }
    };
    collect(this.directory);
    return present;
  }
}

type Survival = {
  readonly journal: Journal;
  readonly present: ReadonlyMap<EntryId, string>;
  readonly chance: Chance | undefined;
};

const namesIn = (directory: string): [name: string, id: EntryId][] =>
  existsSync(directory) ? readdirSync(directory).map((name) => [name, entryIdOf(join(directory, name))]) : [];

/** Written by others, unseen here, and left as it stands. SQLite does so: it keeps its own promises. */
function isForeign(id: EntryId, { journal, present }: Survival): boolean {
  const path = present.get(id);
  if (id === DIRECTORY || path === undefined) return false;
  return !journal.files.has(id) || readFileSync(path).toString('latin1', 0, 16) === SQLITE_MAGIC;
}

// What survives of names and bytes, when power goes: pure, but for the chance.

/** A file by its inode number, or a directory. */
export type EntryId = string;
export const DIRECTORY: EntryId = 'directory';

/** Names that a directory gained, or lost (null), in one step. */
export type EntryChange = Readonly<Record<string, EntryId | null>>;

/** Random numbers from 0 to 1: then some of what was not synced survives, as on a real disk. */
export type Chance = () => number;

/** A line of a record's journal; directories are relative to the one that is watched. */
export type JournalLine =
  | { readonly directory: string; readonly change: EntryChange }
  | { readonly directory: string; readonly syncing: string }
  | { readonly synced: string };

export type Journal = {
  /** By directory: its changes in order, and how many of them are durable. */
  readonly directories: ReadonlyMap<
    string,
    { readonly changes: readonly EntryChange[]; readonly durable: number }
  >;
  /** Every file that ever had a name here. */
  readonly files: ReadonlySet<EntryId>;
};

/** A sync covers what had changed when it began, once it has ended. */
export function readJournal(lines: readonly JournalLine[]): Journal {
  const directories = new Map<string, { changes: EntryChange[]; durable: number }>();
  const files = new Set<EntryId>();
  const syncing = new Map<string, { directory: string; covers: number }>();
  for (const line of lines) {
    if ('synced' in line) {
      const { directory, covers } = syncing.get(line.synced)!;
      const known = directories.get(directory);
      if (known !== undefined) known.durable = Math.max(known.durable, covers);
      continue;
    }
    const { directory } = line;
    if ('syncing' in line) {
      syncing.set(line.syncing, { directory, covers: directories.get(directory)?.changes.length ?? 0 });
      continue;
    }
    const known = directories.get(directory) ?? { changes: [], durable: 0 };
    directories.set(directory, known);
    known.changes.push(line.change);
    for (const id of Object.values(line.change)) if (id !== null && id !== DIRECTORY) files.add(id);
  }
  return { directories, files };
}

/** A file system keeps the order of what happens in a directory: a beginning of what was not synced may survive. */
export function survivingNames(
  { directories }: Journal,
  directory: string,
  chance: Chance | undefined,
): Map<string, EntryId> {
  const names = new Map<string, EntryId>();
  const { changes, durable } = directories.get(directory) ?? { changes: [], durable: 0 };
  const more = chance === undefined ? 0 : Math.floor(chance() * (changes.length - durable + 1));
  for (const change of changes.slice(0, durable + more)) {
    for (const [name, id] of Object.entries(change)) {
      if (id === null) names.delete(name);
      else names.set(name, id);
    }
  }
  return names;
}

/** What a disk tries to write as a whole. */
const SECTOR_BYTES = 512;

/**
 * Sector by sector what is durable, or what was written last, or the one torn into the other; zeros where a file grew and
 * its bytes did not come along.
 */
export function mixedContent(durable: Buffer, present: Buffer, chance: Chance): Buffer {
  if (durable.equals(present)) return durable;
  const mixed = Buffer.alloc(mixedSize(durable.length, present.length, chance));
  durable.copy(mixed);
  for (let at = 0; at < mixed.length; at += SECTOR_BYTES) {
    const sector = present.subarray(at, at + SECTOR_BYTES);
    if (sector.equals(durable.subarray(at, at + SECTOR_BYTES))) continue;
    const draw = chance() * 3;
    if (draw < 1) continue;
    sector.copy(mixed, at, 0, draw < 2 ? sector.length : Math.floor((draw - 2) * sector.length));
  }
  return mixed;
}

function mixedSize(durable: number, present: number, chance: Chance): number {
  const draw = chance() * 3;
  if (draw < 1) return durable;
  if (draw < 2) return present;
  return Math.min(durable, present) + Math.floor((draw - 2) * Math.abs(present - durable));
}

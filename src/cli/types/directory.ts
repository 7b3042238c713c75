// A directory of generated types: what is in it of ours, and how it is made what it should be. Files of others stay as they are.
import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { TailraceError } from '../../core/errors.ts';
import { commandIn, SCHEMA_END, type Layout, type TypesFile } from './files.ts';

/**
 * The texts of the files that the command has generated, with line ends as they were written, by their paths below it, with slashes;
 * empty where there is no such directory.
 */
export async function readTypes(directory: string, command: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      const file = join(entry.parentPath, entry.name);
      if (!entry.isFile() || !(entry.name.endsWith('.ts') || entry.name.endsWith(SCHEMA_END))) continue;
      const text = (await readFile(file, 'utf8')).replaceAll('\r\n', '\n');
      if (commandIn(text) === command) found.set(relative(directory, file).split(sep).join('/'), text);
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return found;
    throw unusable(directory, error);
  }
  return found;
}

/** Throws where one of these files is there already and not of the command: somebody else's is not overwritten. */
export async function expectOwn(
  directory: string,
  present: ReadonlyMap<string, string>,
  layout: Layout,
): Promise<void> {
  for (const { path } of filesOf(layout).filter((file) => !present.has(file.path))) {
    const file = join(directory, path);
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    if (!isThere) continue;
    const other = commandIn(await readFile(file, 'utf8'));
    const whose = other === undefined ? 'was not made by `tailrace types`' : `was made by \`${other}\``;
    throw new TailraceError(`${file} would be overwritten, and ${whose}`, {
      code: 'TYPES_OF_OTHERS',
      kind: 'fatal',
      hint: 'give --out a directory of its own, or remove the file first',
    });
  }
}

/** Writes what differs, and removes what is generated and no more there. Answers what it did. */
export async function writeTypes(
  directory: string,
  present: ReadonlyMap<string, string>,
  layout: Layout,
): Promise<{ readonly written: readonly string[]; readonly removed: readonly string[] }> {
  const files = filesOf(layout);
  const written = files.filter(({ path, text }) => present.get(path) !== text);
  const paths = new Set(files.map(({ path }) => path));
  const removed = [...present.keys()].filter((path) => !paths.has(path));
  try {
    for (const { path, text } of written) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), text);
    }
    for (const path of removed) await rm(join(directory, path));
  } catch (error) {
    throw unusable(directory, error);
  }
  return { written: written.map(({ path }) => path), removed };
}

export const filesOf = ({ tables, indexes }: Layout): readonly TypesFile[] => [
  ...tables.flatMap(({ schema, typescript }) => [typescript, schema]),
  ...indexes,
];

const unusable = (directory: string, error: unknown): TailraceError =>
  new TailraceError(`the types in ${directory} cannot be read or written: ${(error as Error).message}`, {
    code: 'TYPES_DIRECTORY',
    kind: 'fatal',
    hint: 'give --out a directory that this user may write',
    cause: error,
  });

const codeOf = (error: unknown): unknown => (error as { readonly code?: unknown }).code;

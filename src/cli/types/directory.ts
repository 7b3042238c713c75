// A directory of generated types: what is in it of ours, and how it is made what it should be. Files of others stay as they are.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { TailraceError } from '../../core/errors.ts';
import { commandIn, INDEX, isGenerated, SCHEMA_END, type Layout, type TypesFile } from './files.ts';

/** The texts of generated files by their paths below it, with slashes; empty where there is no such directory. */
export async function readTypes(directory: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    for (const entry of entries) {
      const file = join(entry.parentPath, entry.name);
      if (!entry.isFile() || !(entry.name.endsWith('.ts') || entry.name.endsWith(SCHEMA_END))) continue;
      const text = await readFile(file, 'utf8');
      if (isGenerated(text)) found.set(relative(directory, file).split(sep).join('/'), text);
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return found;
    throw unusable(directory, error);
  }
  return found;
}

/** Throws where they are of another command: one would remove what the other has made. */
export function expectSameCommand(
  directory: string,
  present: ReadonlyMap<string, string>,
  command: string,
): void {
  const index = present.get(INDEX);
  const other = index === undefined ? undefined : commandIn(index);
  if (other === undefined || other === command) return;
  throw new TailraceError(
    `${directory} has the types that \`${other}\` has made, and this is \`${command}\``,
    {
      code: 'TYPES_OF_OTHERS',
      kind: 'fatal',
      hint: `give each its own directory, or remove ${directory} first`,
    },
  );
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

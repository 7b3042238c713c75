// How the configuration reads files: given as an argument, so that tests need no disk.
import { isAbsolute, join } from 'node:path';

/** Rejects with `code: 'ENOENT'` when there is no such file, as node:fs does. */
export type ReadFile = (path: string) => Promise<string>;

/** The text, or why there is none, for an operator. */
export async function readTextFile(
  readFile: ReadFile,
  path: string,
): Promise<{ text: string } | { missing: boolean; problem: string }> {
  try {
    return { text: await readFile(path) };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const missing = code === 'ENOENT';
    return { missing, problem: missing ? `there is no file ${path}` : `cannot read ${path} (${code})` };
  }
}

/** A PEM text as it stands, or the text of the file that is named, relative to `directory`. */
export async function readPem(
  written: string,
  options: { readonly directory: string; readonly readFile: ReadFile },
): Promise<{ pem: string } | { problem: string }> {
  if (written.includes('-----BEGIN')) return { pem: written };
  const path = isAbsolute(written) ? written : join(options.directory, written);
  const result = await readTextFile(options.readFile, path);
  if ('problem' in result) return { problem: result.problem };
  return result.text.includes('-----BEGIN')
    ? { pem: result.text }
    : { problem: `${path} is not a PEM file: it has no "-----BEGIN" line` };
}

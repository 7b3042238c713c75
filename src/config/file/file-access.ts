// How the configuration reads files: given as an argument, so that tests need no disk.
import { isUtf8 } from 'node:buffer';
import { isAbsolute, join } from 'node:path';

/** Rejects with `code: 'ENOENT'` when there is no such file, as node:fs does, or with FileProblem. */
export type ReadFile = (path: string) => Promise<string | Buffer>;

/** Invariant 8: more than any configuration, certificate or file of variables has. */
export const MAX_FILE_BYTES = 1024 * 1024;

export const tooLarge = (): string =>
  `this is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB, more than a configuration may have`;

/** Why there is no text, for an operator. */
export class FileProblem extends Error {
  override readonly name = 'FileProblem';
}

/** The text, or why there is none, for an operator. */
export async function readTextFile(
  readFile: ReadFile,
  path: string,
  { mayBeOtherEncoding = false } = {},
): Promise<{ text: string } | { missing: boolean; problem: string }> {
  try {
    const read = await readFile(path);
    if (typeof read === 'string') return { text: read };
    return mayBeOtherEncoding ? { text: read.toString('utf8') } : decodeText(read);
  } catch (error) {
    if (error instanceof FileProblem) return { missing: false, problem: error.message };
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const missing = code === 'ENOENT';
    return { missing, problem: missing ? `there is no file ${path}` : `cannot read ${path} (${code})` };
  }
}

/** A text in another encoding would be read as other names and passwords, in silence. */
export function decodeText(bytes: Buffer): { text: string } | { missing: false; problem: string } {
  const isUtf16 = bytes.length >= 2 && [0xfffe, 0xfeff].includes(bytes.readUInt16BE(0));
  if (isUtf16) return { missing: false, problem: 'this is UTF-16; save it as UTF-8' };
  if (!isUtf8(bytes)) {
    return { missing: false, problem: `line ${lineOfFault(bytes)} is not UTF-8; save the file as UTF-8` };
  }
  return { text: bytes.toString('utf8') };
}

/** From 1. A line break is never a part of another character. */
function lineOfFault(bytes: Buffer): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, start);
    if (end === -1 || !isUtf8(bytes.subarray(start, end))) return line;
    start = end + 1;
  }
  return line;
}

export const isPemText = (text: string): boolean => text.includes('-----BEGIN');

/** A PEM text as it stands, or the text of the file that is named, relative to `directory`. */
export async function readPem(
  written: string,
  options: { readonly directory: string; readonly readFile: ReadFile },
): Promise<{ pem: string } | { problem: string }> {
  if (isPemText(written)) return { pem: written };
  const path = isAbsolute(written) ? written : join(options.directory, written);
  // Certificates come with names in any encoding around them.
  const result = await readTextFile(options.readFile, path, { mayBeOtherEncoding: true });
  if ('problem' in result) return { problem: result.problem };
  return isPemText(result.text)
    ? { pem: result.text }
    : { problem: `${path} is not a PEM file: it has no "-----BEGIN" line` };
}

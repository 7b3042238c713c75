// A small JSON document in a file of its own that says by a checksum whether it is the one that was written.
import { crc32 } from 'node:zlib';
import { TailraceError } from '../core/errors.ts';
import { readTextFile } from './files.ts';

type Document = Readonly<Record<string, unknown>>;

export const seal = (document: Document): Buffer =>
  Buffer.from(JSON.stringify({ ...document, crc: crc32(JSON.stringify(document)) }));

/** Throws when it is damaged. One from before there were checksums is taken as it is. */
export function unseal(text: string): Document {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) throw new Error('it is no document of Tailrace');
  const { crc, ...document } = value as Document;
  if (crc !== undefined && crc !== crc32(JSON.stringify(document))) {
    throw new Error('it is not what was written');
  }
  return document;
}

/** A kind of sealed file, with a version of its own. */
export type SealedKind<Content> = {
  /** As the file says under `tailrace`. */
  readonly name: string;
  /** The newest version known here, as the file says under `format`. */
  readonly format: number;
  readonly read: (document: Document) => Content;
  /** What is thrown where the file says nothing that can be believed: it is never half written. */
  readonly damaged: (path: string, cause: unknown) => TailraceError;
};

/** Undefined: there is no such file. Throws what `damaged` makes, and LOG_VERSION when a later version wrote it. */
export function readSealed<Content>(
  path: string,
  { name, format: newest, read, damaged }: SealedKind<Content>,
): Content | undefined {
  let document: Document;
  try {
    document = unseal(readTextFile(path));
    if (document['tailrace'] !== name) throw new Error('it is something else');
    if (Number(document['format']) <= newest) return read(document);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw damaged(path, error);
  }
  throw new TailraceError(
    `${path} has format version ${String(document['format'])}, newer than ${newest}, the newest known here`,
    {
      code: 'LOG_VERSION',
      kind: 'fatal',
      hint: 'run the version of Tailrace that wrote it, or a newer one',
    },
  );
}

// A small JSON document in a file of its own that says by a checksum whether it is the one that was written.
import { crc32 } from 'node:zlib';

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

// Certificates and keys that the configuration names: read once, wherever a `tls` block stands.
import { dirname, resolve } from 'node:path';
import { valueAt } from '../file/check.ts';
import { listOf, type Reader } from './cross-checks.ts';
import { readPem } from '../file/file-access.ts';
import { formatPath, type Path } from '../file/yaml-file.ts';

const CERTIFICATE_KEYS = ['ca', 'cert', 'key'] as const;

/** PEM texts by their path in the file. */
export type Certificates = ReadonlyMap<string, string>;

/** Of the databases, the HTTP endpoints and the destinations of sinks. */
export async function readCertificates(reader: Reader): Promise<Certificates> {
  const { file, context, faults } = reader;
  const pems = new Map<string, string>();
  const holders: Path[] = [
    ...[...listOf(file, 'databases').keys()].map((index) => ['databases', index]),
    ...[...listOf(file, 'http_endpoints').keys()].map((index) => ['http_endpoints', index]),
    ...[...listOf(file, 'sinks').keys()].map((index) => ['sinks', index, 'destination']),
  ];
  for (const path of holders.flatMap((holder) => CERTIFICATE_KEYS.map((key) => [...holder, 'tls', key]))) {
    const written = valueAt(file.value, path);
    if (typeof written !== 'string' || written === '') continue;
    const result = await readPem(written, { directory: directoryOf(reader), readFile: context.readFile });
    if ('pem' in result) pems.set(formatPath(path), result.pem);
    else faults.push(file.fault(path, result.problem));
  }
  return pems;
}

/** The certificates of the `tls` block that stands in the mapping at this path. */
export function certificatesAt(
  holder: Path,
  pems: Certificates,
): { readonly [key in (typeof CERTIFICATE_KEYS)[number]]?: string } {
  const found = CERTIFICATE_KEYS.flatMap((key) => {
    const pem = pems.get(formatPath([...holder, 'tls', key]));
    return pem === undefined ? [] : [[key, pem] as const];
  });
  return Object.fromEntries(found);
}

/** Of the file; for CONFIG_FILE_YAML, which has none, the working directory. */
export const directoryOf = ({ file, context }: Reader): string => dirname(resolve(context.cwd, file.file));

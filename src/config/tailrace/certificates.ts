// Certificates and keys that the configuration names: each file is read once, so that what is wrong with it is told at its place.
// Of a sink its text stands then where its name was; a database's files are read again for each connection.
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { parseConnectionUrl, SYSTEM_AUTHORITIES } from '../connection-url.ts';
import { readPem } from '../file/file-access.ts';
import type { Fault } from '../file/faults.ts';
import { listOf, setAt, valueAt, type Path } from '../file/file-value.ts';
import type { LibpqParameters } from '../libpq/parameters.ts';
import type { Surroundings } from '../libpq/surroundings.ts';
import type { FileConfig } from '../schema/file.ts';
import { jsonSchemaOfFile } from '../schema/file-json-schema.ts';
import { walkSchema } from '../schema/json-schema.ts';
import type { Reader } from './cross-checks.ts';
import { tlsOfLibpq } from './place.ts';

/** What stands for a certificate, and where it belongs in the parsed file. */
type Certificate = { readonly path: Path; readonly value: string };

type Named = {
  readonly path: Path;
  readonly written: string;
  readonly directory: string;
  faultHere(message: string): Fault;
};

const TLS_KEYS = ['ca', 'cert', 'key'] as const;
type TlsKey = (typeof TLS_KEYS)[number];
const LIBPQ_NAMES = { ca: 'sslrootcert', cert: 'sslcert', key: 'sslkey' } as const satisfies Record<
  TlsKey,
  keyof LibpqParameters
>;

/** A pipe (`<(…)`) gives its text once. */
const READ_ONCE = /^\/(?:dev|proc)\//;

/** Of everything that the schema marks `pem`, and of the parameters of libpq. Reads the raw value: it speaks beside other faults. */
export async function readCertificates(
  reader: Reader,
  surroundings: readonly Surroundings[],
): Promise<readonly Certificate[]> {
  const { file, context, faults } = reader;
  const named: Named[] = [];
  walkSchema(jsonSchemaOfFile(), file.value, (path, schema, written) => {
    if (schema.pem !== true || typeof written !== 'string' || written === '') return;
    named.push({
      path,
      written,
      directory: file.directory,
      faultHere: (message) => file.fault(path, message),
    });
  });
  for (const index of listOf(file, 'databases').keys())
    named.push(...ofLibpq(reader, index, surroundings[index]));
  const certificates: Certificate[] = [];
  const texts = new Map<string, { pem: string; named: Named }>();
  for (const one of named) {
    const { path, written, directory } = one;
    const isOfDatabase = path[0] === 'databases';
    if (isOfDatabase && path.at(-1) === 'ca' && written === SYSTEM_AUTHORITIES) continue;
    const result = await readPem(written, { directory, readFile: context.readFile });
    if ('problem' in result) {
      faults.push(one.faultHere(result.problem));
      continue;
    }
    texts.set(path.join('.'), { pem: result.pem, named: one });
    const absolute = resolve(directory, written);
    const isFile = isOfDatabase && result.pem !== written && !READ_ONCE.test(absolute);
    certificates.push({ path: placeIn(path), value: isFile ? absolute : result.pem });
  }
  for (const index of listOf(file, 'databases').keys()) {
    const of = (key: TlsKey) => texts.get(['databases', index, 'tls', key].join('.'));
    const passphrase = file.text(['databases', index, 'tls', 'key_passphrase']);
    const [cert, key] = [of('cert'), of('key')];
    const message =
      cert &&
      key &&
      faultOfKey(cert.pem, key.pem, passphrase ?? passphraseAround(reader, index, surroundings[index]));
    if (message !== undefined) faults.push(key!.named.faultHere(message));
  }
  return certificates;
}

/** Of a database, what is written and what surrounds it have become one. */
const placeIn = (path: Path): Path =>
  path[0] === 'databases' ? [...path.slice(0, 2), 'place', ...path.slice(2)] : path;

const passphraseAround = ({ file }: Reader, index: number, around?: Surroundings): string | undefined =>
  parseConnectionUrl(file.text(['databases', index, 'url']) ?? '')?.sslpassword ??
  around?.parameters.sslpassword;

/** What the URL names, and what the surroundings do: where no `tls` or `ssl` says it all. */
function* ofLibpq(
  { file, context }: Reader,
  index: number,
  surroundings: Surroundings | undefined,
): Generator<Named> {
  const at: Path = ['databases', index];
  if (['tls', 'ssl'].some((key) => valueAt(file.value, [...at, key]) !== undefined)) return;
  const url = parseConnectionUrl(file.text([...at, 'url']) ?? '');
  const tls = tlsOfLibpq({ ...surroundings?.parameters, ...url });
  for (const key of TLS_KEYS) {
    const written = tls[key];
    const name = LIBPQ_NAMES[key];
    if (written === undefined) continue;
    const isOfUrl = url?.[name] !== undefined;
    yield {
      path: [...at, 'tls', key],
      written,
      directory: isOfUrl ? file.directory : context.cwd,
      faultHere: (message) =>
        isOfUrl
          ? file.fault([...at, 'url'], message)
          : { file: 'environment', path: surroundings?.sources.get(name) ?? name, message },
    };
  }
}

/** Undefined: they belong together, and open. */
function faultOfKey(cert: string, key: string, passphrase: string | undefined): string | undefined {
  try {
    createSecureContext({ cert, key, ...(passphrase !== undefined && { passphrase }) });
    return undefined;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH') return 'this is the key of another certificate';
    if (code !== 'ERR_OSSL_BAD_DECRYPT') return undefined;
    return passphrase === undefined
      ? 'this key is encrypted: give tls.key_passphrase (in a URL: sslpassword)'
      : 'the passphrase does not open this key';
  }
}

/** A copy of the file with the certificates in place. */
export function withCertificates(config: FileConfig, certificates: readonly Certificate[]): FileConfig {
  const copy = structuredClone(config);
  for (const { path, value } of certificates) setAt(copy, path, value);
  return copy;
}

// Certificates and keys that the configuration names: each file is read once, and its text stands where its name was.
import { readPem } from '../file/file-access.ts';
import { listOf, setAt, type Path } from '../file/file-value.ts';
import { parseConnectionUrl, tlsModeOf } from '../connection-url.ts';
import type { FileConfig } from '../schema/file.ts';
import { jsonSchemaOfFile, walkSchema } from '../schema/json-schema.ts';
import type { Reader } from './cross-checks.ts';

/** A PEM text, and where it belongs in the parsed file. */
type Certificate = { readonly path: Path; readonly pem: string };

type Named = { readonly path: Path; readonly written: string; readonly faultAt: Path };

/** Of everything that the schema marks `pem`, and of the URLs of databases. Reads the raw value: it speaks beside other faults. */
export async function readCertificates({ file, context, faults }: Reader): Promise<readonly Certificate[]> {
  const named: Named[] = [];
  walkSchema(jsonSchemaOfFile(), file.value, (path, schema, value) => {
    if (schema.pem !== true || typeof value !== 'string' || value === '') return;
    named.push({ path, written: value, faultAt: path });
  });
  for (const index of listOf(file, 'databases').keys()) {
    const faultAt = ['databases', index, 'url'];
    const url = parseConnectionUrl(file.text(faultAt) ?? '');
    const texts = { ca: url && tlsModeOf(url).ca, cert: url?.sslcert, key: url?.sslkey };
    for (const [key, written] of Object.entries(texts)) {
      if (written !== undefined) named.push({ path: ['databases', index, 'tls', key], written, faultAt });
    }
  }
  const certificates: Certificate[] = [];
  for (const { path, written, faultAt } of named) {
    const result = await readPem(written, { directory: file.directory, readFile: context.readFile });
    if ('pem' in result) certificates.push({ path, pem: result.pem });
    else faults.push(file.fault(faultAt, result.problem));
  }
  return certificates;
}

/** A copy of the file with the texts in place. */
export function withCertificates(config: FileConfig, certificates: readonly Certificate[]): FileConfig {
  const copy = structuredClone(config);
  for (const { path, pem } of certificates) setAt(copy, path, pem);
  return copy;
}

// What surrounds each entry of `databases`: its service, the PG* variables; and what is missing with them, or contradicts them.
import { join, resolve } from 'node:path';
import { parseConnectionUrl } from '../connection-url.ts';
import { readTextFile } from '../file/file-access.ts';
import { listOf, valueAt } from '../file/file-value.ts';
import { homeOf, isPaired, readSurroundings, type Surroundings } from '../libpq/surroundings.ts';
import type { WrittenDatabase } from '../schema/database.ts';
import type { DatabaseConfig } from '../schema/file.ts';
import type { Reader } from './cross-checks.ts';
import { placeOf } from './place.ts';

/** One for each entry, in their order. Reads the raw value: it speaks beside other faults. */
export async function readAllSurroundings({
  file,
  context,
  faults,
  notes,
}: Reader): Promise<readonly Surroundings[]> {
  const all: Surroundings[] = [];
  const told = new Set<string>();
  for (const index of listOf(file, 'databases').keys()) {
    const url = parseConnectionUrl(file.text(['databases', index, 'url']) ?? '');
    const written = file.text(['databases', index, 'service']);
    const found = await readSurroundings(context, {
      service: written ?? url?.service,
      servicefile: url?.servicefile,
    });
    for (const fault of found.faults) {
      const isHere = fault.path === 'PGSERVICE' && (written ?? url?.service) !== undefined;
      const here = ['databases', index, written === undefined ? 'url' : 'service'];
      faults.push(isHere ? file.fault(here, fault.message) : fault);
    }
    for (const note of found.notes) if (!told.has(note)) notes.push(note);
    for (const note of found.notes) told.add(note);
    all.push(found);
  }
  return all;
}

/** Names and databases that are written nowhere, and password files that cannot be read. */
export async function checkPlaces(reader: Reader, surroundings: readonly Surroundings[]): Promise<void> {
  const { file, faults } = reader;
  for (const [index, entry] of listOf(file, 'databases').entries()) {
    if (typeof entry !== 'object' || entry === null) continue;
    const { parameters, unpaired } = surroundings[index]!;
    const at = ['databases', index];
    const written = (key: string): unknown => valueAt(entry, [key]);
    const text = file.text([...at, 'url']);
    const url = text === undefined ? undefined : parseConnectionUrl(text);
    const isIn = (key: string): boolean => (written(key) ?? null) !== null;
    if (text !== undefined || isIn('url')) {
      // What is no URL at all is a fault already.
      if (url === undefined) continue;
      const hint = 'postgres://user:password@host:5432/database';
      if (url.hosts.length === 0 && parameters.hosts === undefined)
        faults.push(file.fault([...at, 'url'], `this URL names no host: ${hint}`));
      if (url.database === undefined && parameters.database === undefined)
        faults.push(file.fault([...at, 'url'], `this URL names no database: postgres://…/database`));
    } else {
      if (!isIn('hostname') && parameters.hosts === undefined)
        faults.push(file.fault([...at, 'hostname'], 'this is missing (hostname, or url)'));
      if (!isIn('database') && parameters.database === undefined)
        faults.push(file.fault([...at, 'database'], 'this is missing (database, or url)'));
    }
    const hostname = written('hostname');
    const hosts = typeof hostname === 'string' ? hostname.split(',') : (url?.hosts ?? []);
    if (unpaired !== undefined && !isIn('port') && hosts.length > 0 && !isPaired(parameters, hosts.length))
      faults.push(unpaired);
    await checkPasswordFile(reader, index);
  }
}

async function checkPasswordFile({ file, context, faults }: Reader, index: number): Promise<void> {
  const path = ['databases', index, 'password_file'];
  const written = file.text(path);
  if (written === undefined || written === '') return;
  const result = await readTextFile(context.readFile, resolve(file.directory, written));
  if ('problem' in result) faults.push(file.fault(path, result.problem));
  else if (result.text.trim() === '') faults.push(file.fault(path, `${written} is empty`));
}

/** Modes in which whoever listens, or stands in between, would have the token. */
const OPEN_MODES: readonly string[] = ['disable', 'prefer'];

/** Where it is said, and where it surrounds us: one place. */
export function withPlaces(
  databases: readonly WrittenDatabase[],
  surroundings: readonly Surroundings[],
  { file, context, faults }: Reader,
): readonly DatabaseConfig[] {
  const passwordFile = join(homeOf(context.env), '.pgpass');
  return databases.map((written, index) => {
    const place = placeOf(written, {
      surroundings: surroundings[index]!,
      directory: file.directory,
      passwordFile,
    });
    const isIam = typeof place.password === 'object' && place.password.from === 'rds_iam';
    if (isIam && OPEN_MODES.includes(place.tls.mode)) {
      const message = `an IAM token is sent as it is, and TLS mode is ${place.tls.mode}: write tls with ca (or mode: require)`;
      faults.push(file.fault(['databases', index, 'rds_iam'], message));
    }
    return { ...written, place };
  });
}

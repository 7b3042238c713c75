// What libpq finds around a program where nothing is written: a section of a service file, then the PG* variables, then ~/.pgpass.
// https://www.postgresql.org/docs/current/libpq-envars.html, https://www.postgresql.org/docs/current/libpq-pgservice.html
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { pairHosts, PASSED_OVER } from '../connection-url.ts';
import type { LoadContext } from '../context.ts';
import { readTextFile } from '../file/file-access.ts';
import type { Fault } from '../file/faults.ts';
import { faultOfParameters, type LibpqParameters } from './parameters.ts';

/** libpq's name of each parameter, ours, and the variable that gives it. */
const PARAMETERS = [
  { name: 'host', variable: 'PGHOST' },
  { name: 'port', variable: 'PGPORT' },
  { name: 'dbname', ours: 'database', variable: 'PGDATABASE' },
  { name: 'user', ours: 'username', variable: 'PGUSER' },
  { name: 'password', ours: 'password', variable: 'PGPASSWORD' },
  { name: 'passfile', ours: 'passfile', variable: 'PGPASSFILE' },
  { name: 'sslmode', ours: 'sslmode', variable: 'PGSSLMODE' },
  { name: 'sslrootcert', ours: 'sslrootcert', variable: 'PGSSLROOTCERT' },
  { name: 'sslcert', ours: 'sslcert', variable: 'PGSSLCERT' },
  { name: 'sslkey', ours: 'sslkey', variable: 'PGSSLKEY' },
  { name: 'sslpassword', ours: 'sslpassword', variable: undefined },
  { name: 'sslnegotiation', ours: 'sslnegotiation', variable: 'PGSSLNEGOTIATION' },
  { name: 'channel_binding', ours: 'channel_binding', variable: 'PGCHANNELBINDING' },
  { name: 'require_auth', ours: 'require_auth', variable: 'PGREQUIREAUTH' },
] as const;

/** Debian's libpq looks there; others where they were built to. */
const SYSTEM_CONFIGURATION = '/etc/postgresql-common';

export type Surroundings = {
  readonly parameters: LibpqParameters & {
    /** Where hosts name none: one for all of them, or one for each; undefined: the usual one. Ports alone say not which hosts there are. */
    readonly ports?: readonly (number | undefined)[];
  };
  /** What is wrong where these ports and the hosts that are written elsewhere do not go together. */
  readonly unpaired?: Fault;
  /** Where each parameter is from, for an operator: `PGHOST`, or the service file. */
  readonly sources: ReadonlyMap<keyof LibpqParameters, string>;
  readonly faults: readonly Fault[];
  readonly notes: readonly string[];
};

type Found = { readonly value: string; readonly source: string; readonly isVariable: boolean };

/** `service`, `servicefile`: as a URL or the configuration says; otherwise of the environment. */
export async function readSurroundings(
  { env, readFile, cwd }: Pick<LoadContext, 'env' | 'readFile' | 'cwd'>,
  named: { readonly service?: string | undefined; readonly servicefile?: string | undefined } = {},
): Promise<Surroundings> {
  const found = new Map<string, Found>();
  for (const { name, variable } of PARAMETERS) {
    const value = variable === undefined ? undefined : env[variable];
    if (value) found.set(name, { value, source: variable!, isVariable: true });
  }
  const faults: Fault[] = [];
  const notes: string[] = [];
  const service = named.service ?? (env['PGSERVICE'] || undefined);
  if (service !== undefined) {
    const files = serviceFiles(env, named.servicefile).map((file) => resolve(cwd, file));
    const section = await readService(files, { service, readFile });
    if ('problem' in section) {
      faults.push({ file: 'environment', path: 'PGSERVICE', message: section.problem });
    } else {
      const known = new Set<string>(PARAMETERS.map(({ name }) => name));
      for (const [name, value] of section.parameters) {
        if (known.has(name)) found.set(name, { value, source: section.file, isVariable: false });
        else if (name !== 'target_session_attrs' || value !== 'read-write') {
          const what = PASSED_OVER.has(name) ? 'is passed over' : 'is no parameter of libpq, and passed over';
          notes.push(`${section.file}: ${name} of service ${service} ${what}`);
        }
      }
    }
  }
  return { ...resolveParameters(found, faults), faults, notes };
}

function resolveParameters(
  found: ReadonlyMap<string, Found>,
  faults: Fault[],
): Pick<Surroundings, 'parameters' | 'sources' | 'unpaired'> {
  const parameters: Record<string, unknown> = {};
  const sources = new Map<keyof LibpqParameters, string>();
  const faultAt = ({ source, isVariable }: Found, message: string): Fault =>
    isVariable ? { file: 'environment', path: source, message } : { file: source, path: '', message };
  const fault = (found: Found, message: string): void => void faults.push(faultAt(found, message));
  for (const parameter of PARAMETERS) {
    const one = found.get(parameter.name);
    if (one === undefined || !('ours' in parameter)) continue;
    parameters[parameter.ours] = one.value;
    sources.set(parameter.ours, one.source);
  }
  const [host, port] = [found.get('host'), found.get('port')];
  if (host !== undefined) {
    const hosts = pairHosts(host.value.split(','), port?.value.split(',') ?? ['']);
    if (hosts === undefined) fault(port ?? host, UNPAIRED);
    else parameters['hosts'] = hosts;
    sources.set('hosts', host.source);
  } else if (port !== undefined) {
    const ports = port.value.split(',').map((written) => written.trim());
    if (ports.every(isPortOrNone))
      parameters['ports'] = ports.map((written) => (written === '' ? undefined : Number(written)));
    else fault(port, 'a port from 1 to 65535 is expected, or a list of them');
  }
  const wrong = faultOfParameters(parameters);
  if (wrong !== undefined) fault(found.get(wrong.name)!, wrong.message);
  return { parameters, sources, ...(port !== undefined && { unpaired: faultAt(port, UNPAIRED) }) };
}

const UNPAIRED = 'hosts are expected, and one port, or one for each host';

/** An empty one in a list is the usual one. */
const isPortOrNone = (written: string): boolean =>
  written === '' || (/^\d{1,5}$/.test(written) && Number(written) >= 1 && Number(written) <= 65_535);

/** Do they go together, as libpq has it? */
export const isPaired = ({ ports }: Surroundings['parameters'], hostCount: number): boolean =>
  ports === undefined || ports.length === 1 || ports.length === hostCount;

function serviceFiles(env: LoadContext['env'], named: string | undefined): readonly string[] {
  const own = named ?? (env['PGSERVICEFILE'] || join(homeOf(env), '.pg_service.conf'));
  return [own, join(env['PGSYSCONFDIR'] || SYSTEM_CONFIGURATION, 'pg_service.conf')];
}

export const homeOf = (env: LoadContext['env']): string => env['HOME'] || homedir();

type Section =
  { readonly parameters: ReadonlyMap<string, string>; readonly file: string } | { readonly problem: string };

async function readService(
  files: readonly string[],
  { service, readFile }: { readonly service: string } & Pick<LoadContext, 'readFile'>,
): Promise<Section> {
  for (const file of files) {
    const result = await readTextFile(readFile, file, { mayBeOtherEncoding: true });
    if ('problem' in result) {
      if (result.missing) continue;
      return { problem: result.problem };
    }
    const parameters = sectionOf(result.text, service);
    if (parameters !== undefined) return { parameters, file };
  }
  return { problem: `there is no service "${service}" in ${files.join(' or ')}` };
}

/** The lines under `[service]`; undefined: there is no such section. The first of two that set the same counts. */
export function sectionOf(text: string, service: string): ReadonlyMap<string, string> | undefined {
  let section: Map<string, string> | undefined;
  for (const written of text.split('\n')) {
    const line = written.trim();
    if (line === '' || line.startsWith('#')) continue;
    if (line.startsWith('[')) {
      if (section !== undefined) return section;
      if (line === `[${service}]`) section = new Map();
      continue;
    }
    const [, name, value] = /^([^=\s]+)\s*=\s*(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined && value !== '' && section?.has(name) === false)
      section.set(name, value);
  }
  return section;
}

// `tailrace backfill start`: what is asked for on the command line, looked at by the service before it begins.
import type { BackfillDocument } from '../../pipeline/service/backfill-document.ts';
import { EXIT, usageError, writeJson, writeLine, type CliPorts } from '../ports.ts';
import { connectToService, type ServiceClient, type ServiceOptions } from '../service-client.ts';
import { sinkPath } from '../sink-commands.ts';
import { isWhole, readHealth } from '../status-document.ts';
import { readKeysFile } from './keys-file.ts';
import { backfillsPath } from './ports.ts';

export type StartOptions = ServiceOptions & {
  readonly allSinks?: boolean;
  readonly database?: string;
  readonly table?: readonly string[];
  readonly where?: string;
  readonly sortColumn?: string;
  readonly from?: string;
  readonly keys?: string;
  readonly maxRowsPerSecond?: number;
  readonly fullSpeed?: boolean;
  readonly workers?: number;
};

/** Its tables are looked at on the server first, one after the other. */
const LOOK_TIMEOUT_MS = 5 * 60_000;

export async function start(
  sink: string | undefined,
  options: StartOptions,
  ports: CliPorts,
): Promise<number> {
  const tables = await tablesOf(options, ports);
  if ((sink === undefined) === (options.allSinks !== true)) {
    throw usageError('name a sink, or give --all-sinks', 'tailrace status lists the sinks');
  }
  const service = await connectToService(options, ports);
  const { database, sinks } = await placeOf(sink, options, service);
  const { maxRowsPerSecond, workers } = options;
  const answer = await service.ask(backfillsPath(database), {
    method: 'POST',
    body: {
      sinks,
      ...(tables === undefined ? {} : { tables }),
      ...(workers === undefined ? {} : { workers }),
      ...(maxRowsPerSecond === undefined ? {} : { max_rows_per_second: maxRowsPerSecond }),
      ...(options.fullSpeed === true && { gives_way: false }),
    },
    timeoutMs: LOOK_TIMEOUT_MS,
  });
  if (options.json === true) {
    writeJson(ports.stdout, answer, 2);
    return EXIT.ok;
  }
  const backfill = answer['backfill'] as BackfillDocument;
  const names = backfill.tables?.map(({ table }) => table) ?? [];
  const what = names.length > MAX_NAMED ? `${names.length} tables` : names.join(', ');
  writeLine(ports.stdout, `backfill ${backfill.id} reads ${what} for ${backfill.sinks.join(', ')}`);
  for (const note of answer['notes'] as string[]) writeLine(ports.stderr, `note: ${note}`);
  writeLine(ports.stdout, `tailrace backfill show ${backfill.id} --watch says how far it is`);
  return EXIT.ok;
}

const MAX_NAMED = 5;

/** Undefined: all of the sink. What is said of rows is said of the tables that are named. */
async function tablesOf(
  options: StartOptions,
  { cwd }: CliPorts,
): Promise<readonly Record<string, unknown>[] | undefined> {
  const { table: names, where, sortColumn, from, keys: file } = options;
  const isPartial = [where, sortColumn, from, file].some((value) => value !== undefined);
  if (names === undefined) {
    if (!isPartial) return undefined;
    throw usageError(
      '--where, --sort-column, --from and --keys need a --table',
      'name the table with --table',
    );
  }
  if ((sortColumn === undefined) !== (from === undefined)) {
    throw usageError('--sort-column and --from go together', 'give the column, and where it begins');
  }
  if (names.length > 1 && file !== undefined) {
    throw usageError('--keys are of one table', 'start a backfill for each table');
  }
  const keys = file === undefined ? undefined : await readKeysFile(file, cwd);
  return names.map((table) => ({
    table,
    ...(where === undefined ? {} : { where }),
    ...(sortColumn === undefined ? {} : { sort_column: sortColumn, start_position: from }),
    ...(keys === undefined ? {} : { keys }),
  }));
}

async function placeOf(
  sink: string | undefined,
  { database }: StartOptions,
  service: ServiceClient,
): Promise<{ readonly database: string; readonly sinks: readonly string[] | 'all' }> {
  if (sink !== undefined) {
    const found = await service.ask(sinkPath(sink));
    return { database: String(found['database']), sinks: [String(found['name'])] };
  }
  if (database !== undefined) return { database, sinks: 'all' };
  const document = await readHealth(service);
  const names = isWhole(document) ? document.databases.map(({ name }) => name) : [];
  if (names.length === 1) return { database: names[0]!, sinks: 'all' };
  throw usageError('there are several databases', `name one with --database: ${names.join(', ')}`);
}

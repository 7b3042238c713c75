// Reads pg2sqs' configuration (YAML and PG2SQS_* variables) into ordinary settings. docs/compatibility.md says how.
import { z } from 'zod';
import { DEFAULT_RETRY, type RetryPolicy } from '../../core/retry.ts';
import { formatTableName, tablePattern } from '../../core/selection.ts';
import type { ServiceSettings, SinkSettings } from '../../pipeline/settings.ts';
import type { DatabaseSettings, TlsSettings } from '../../postgres/settings.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import {
  apiListen,
  dataDirectory,
  metricsListen,
  sectionDefaults,
  stateFile,
  timerDefault,
} from '../context.ts';
import type { LoadContext } from '../context.ts';
import { deadLetterLimits, logSettings, type Reading } from '../tailrace/tailrace-yaml.ts';
import {
  MAX_CONNECTION_RETRIES,
  MAX_PARKED,
  MAX_RETAINED_BYTES,
  RECEIVE_TIMEOUT_MS,
  RECONNECT,
  REFRESH_INTERVAL_MS,
  STATUS_INTERVAL_MS,
} from '../defaults.ts';
import { noteUnverified } from '../tailrace/databases.ts';
import { ConfigError, sortFaults, type Fault } from '../file/faults.ts';
import { readPem } from '../file/file-access.ts';
import { Pg2sqsReader } from './reader.ts';
import { groupByQueues, readTables, type Pg2sqsTable } from './sinks.ts';
import {
  mergeSettings,
  missingSetting,
  settingsOfEnvironment,
  settingsOfYaml,
  type Pg2sqsSettings,
} from './variables.ts';
import { parseHostPort } from '../units.ts';
import type { YamlFile } from '../file/yaml-file.ts';

/** Settings that have nothing to do here, and why. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  FLUSHINTERVAL: 'messages go out at once when a request is free, and batches fill by themselves under load',
  FLUSHQUEUEDEPTH: 'queues are bounded by maxWriteQueueSize',
  POSTGRES_REPL_OWNER: 'no state is kept in Postgres',
  CPUPROF_ENABLED: 'profile with the tools of Node.js',
  WATCHXID: 'transactions are not watched one by one',
};

const LICENCE_VARIABLES = ['PGWALK_LIC_PG2SQS', 'PGWALK_LICFILE_PG2SQS'];

/** `file` is undefined where only variables are. Throws ConfigError with every fault. */
export async function readPg2sqs(file: YamlFile | undefined, context: LoadContext): Promise<Reading> {
  const faults: Fault[] = [...(file?.faults ?? [])];
  const notes: string[] = [];
  const inFile = file?.value === undefined ? new Map() : settingsOfYaml(file, faults);
  const settings = mergeSettings(inFile, settingsOfEnvironment(context.env, faults), faults);
  const reader = new Pg2sqsReader(settings, faults, file?.file);
  noteWithoutEffect(settings, context, notes);
  const database = await toDatabase(reader, { context, notes });
  const tables = readTables({ settings, faults, notes });
  if (tables.length === 0 && faults.length === 0) faults.push(missingSetting('T_0_NAME', file?.file));
  const sinks = toSinks(tables, { reader, database: database.name });
  const service = serviceOf(reader, context);
  if (faults.length > 0) throw new ConfigError(sortFaults(faults));
  return { settings: { ...service, databases: [database], sinks }, notes };
}

async function toDatabase(
  reader: Pg2sqsReader,
  { context, notes }: { context: LoadContext; notes: string[] },
): Promise<DatabaseSettings> {
  const port = reader.number('POSTGRES_CONN_PORT', { least: 1, most: 65_535, whole: true, fallback: 5432 });
  const hosts = [];
  for (const text of reader.required('POSTGRES_CONN_HOST').split(',')) {
    const address = parseHostPort(text.trim(), port);
    if (address !== undefined) hosts.push(address);
    else if (text !== '')
      reader.faults.push(reader.settings.get('POSTGRES_CONN_HOST')!.faultHere('host names are expected'));
  }
  const database = reader.required('POSTGRES_CONN_DATABASE');
  const name = resourceNameOf(database);
  const tls = await tlsOf(reader, context);
  noteUnverified(name, { tls, hosts, notes });
  return {
    name,
    hosts,
    database,
    username: reader.required('POSTGRES_CONN_USER'),
    password: reader.text('POSTGRES_CONN_PASSWORD') ?? '',
    tls,
    slot: {
      name: reader.required('POSTGRES_REPL_SLOT'),
      createIfNotExists: false,
      ack: 'delivered',
      maxRetainedBytes: MAX_RETAINED_BYTES,
      failover: false,
    },
    publication: {
      name: reader.required('POSTGRES_REPL_PUB'),
      createIfNotExists: false,
      refreshIntervalMs: REFRESH_INTERVAL_MS,
    },
    markers: { skip: false },
    statusIntervalMs: reader.duration('POSTGRES_STANDBYTIMEOUT', {
      bareUnit: 's',
      fallback: STATUS_INTERVAL_MS,
      least: 1,
    }),
    // There it is how long one read waits; here silence ends the connection, so it is never shorter than our own.
    receiveTimeoutMs: Math.max(
      reader.duration('POSTGRES_RECEIVETIMEOUT', { bareUnit: 's', fallback: RECEIVE_TIMEOUT_MS }),
      RECEIVE_TIMEOUT_MS,
    ),
    reconnect: retryPolicy(reader, RECONNECT),
    maxConnectionRetries: reader.number('RETRYPOLICY_MAXCONNECTIONRETRIES', {
      least: 0,
      whole: true,
      fallback: MAX_CONNECTION_RETRIES,
    }),
  };
}

/** A tls block says no mode, so all of it is meant; paths are relative to the working directory. */
async function tlsOf(reader: Pg2sqsReader, context: LoadContext): Promise<TlsSettings> {
  const pems: { ca?: string; cert?: string; key?: string } = {};
  for (const [key, name] of [
    ['ca', 'ROOTCERT'],
    ['cert', 'CERT'],
    ['key', 'KEY'],
  ] as const) {
    const setting = reader.settings.get(`POSTGRES_CONN_TLS_${name}`);
    if (setting === undefined) continue;
    const result = await readPem(setting.text, { directory: context.cwd, readFile: context.readFile });
    if ('pem' in result) pems[key] = result.pem;
    else reader.faults.push(setting.faultHere(result.problem));
  }
  return Object.keys(pems).length === 0 ? { mode: 'prefer' } : { mode: 'verify-full', ...pems };
}

function retryPolicy(reader: Pg2sqsReader, fallback: RetryPolicy): RetryPolicy {
  const backoff = (name: string, milliseconds: number): number =>
    reader.duration(`RETRYPOLICY_${name}`, { bareUnit: 's', fallback: milliseconds, least: 1 });
  const initialBackoffMs = backoff('INITIALBACKOFF', fallback.initialBackoffMs);
  return {
    initialBackoffMs,
    multiplier: reader.number('RETRYPOLICY_MULTIPLIER', {
      least: 1,
      whole: false,
      fallback: fallback.multiplier,
    }),
    maxBackoffMs: backoff('MAXBACKOFF', Math.max(fallback.maxBackoffMs, initialBackoffMs)),
    jitter: reader.number('RETRYPOLICY_JITTER', {
      least: 0,
      most: 1,
      whole: false,
      fallback: fallback.jitter,
    }),
  };
}

function toSinks(
  tables: readonly Pg2sqsTable[],
  { reader, database }: { reader: Pg2sqsReader; database: string },
): SinkSettings[] {
  const timeout = reader.duration('WRITETIMEOUT', { bareUnit: 's', fallback: undefined, least: 1 });
  const maxRetryCount = reader.number('RETRYPOLICY_MAXRETRIES', {
    least: 1,
    whole: true,
    fallback: undefined,
  });
  const lanesPerRoute = reader.number('FLUSHWORKERS', {
    least: 1,
    most: 1024,
    whole: true,
    fallback: undefined,
  });
  const maxBuffered = reader.number('MAXWRITEQUEUESIZE', { least: 0, whole: true, fallback: 0 });
  const commitTimeColumn = reader.text('SQS_COMMITTIMECOLUMN');
  const numeric = reader.word('POSTGRES_NUMERICMODE', ['float', 'string']);
  const retry = retryPolicy(reader, DEFAULT_RETRY);
  const names = new Set<string>();
  return groupByQueues(tables).map((group) => ({
    name: uniqueName(resourceNameOf(formatTableName(group[0]!)), names),
    database,
    status: 'active',
    start: { from: 'default' },
    selection: { includeTables: group.map(tablePattern) },
    tables: group.flatMap((table) =>
      table.columns === undefined ? [] : [{ pattern: tablePattern(table), columns: table.columns }],
    ),
    actions: (['insert', 'update', 'delete'] as const).filter((action) =>
      group.some((table) => table.actions.includes(action)),
    ),
    format: 'pg2sqs',
    values: { numeric, json: 'embed', bytea: 'hex' },
    ...(commitTimeColumn === undefined ? {} : { commitTimeColumn }),
    messageGrouping: true,
    keyChanges: 'update',
    ignoreMarkers: false,
    sameGroup: 'ordered',
    loadShedding: 'pause',
    ...(maxRetryCount === undefined ? {} : { maxRetryCount }),
    retry,
    ...(lanesPerRoute === undefined ? {} : { lanesPerRoute }),
    ...(maxBuffered > 0 && { maxBuffered }),
    maxParked: MAX_PARKED,
    annotations: {},
    destination: destinationOf(group, { timeout, faults: reader.faults }),
  }));
}

/** Written as a tailrace.yaml would write it, and held against the same schema. */
function destinationOf(
  group: readonly Pg2sqsTable[],
  { timeout, faults }: { timeout: number | undefined; faults: Fault[] },
): SinkSettings['destination'] {
  const written = {
    type: 'sqs',
    create_if_not_exists: true,
    tables: Object.fromEntries(group.map((table) => [formatTableName(table), table.place])),
    ...(timeout === undefined ? {} : { timeout }),
  };
  const definition = sinkDefinition(written.type)!;
  const result = definition.config.safeParse(written);
  if (result.success) return { type: written.type, config: result.data };
  for (const issue of result.error.issues) {
    const owner = group.find((table) => issue.path[1] === formatTableName(table)) ?? group[0]!;
    const place = z.core.toDotPath(issue.path.slice(2));
    faults.push(owner.setting.faultHere(place === '' ? issue.message : `${place}: ${issue.message}`));
  }
  return { type: written.type, config: undefined };
}

function serviceOf(reader: Pg2sqsReader, context: LoadContext): Omit<ServiceSettings, 'databases' | 'sinks'> {
  const { faults } = reader;
  const dataDir = dataDirectory(context);
  const api = sectionDefaults('api');
  const faultHere = (message: string): Fault => ({ file: 'environment', path: 'SERVER_PORT', message });
  return {
    dataDir,
    log: logSettings(sectionDefaults('log')),
    state: { file: stateFile(sectionDefaults('state').url, dataDir) },
    deadLetters: deadLetterLimits(sectionDefaults('dead_letters')),
    api: {
      listen: apiListen(
        { written: undefined, fallback: api.listen },
        { context, hasToken: false, faults, faultHere },
      ),
      tokens: [],
    },
    metrics: {
      listen: metricsListen(
        { written: undefined, fallback: sectionDefaults('metrics').listen },
        context,
        faults,
      ),
    },
    shutdownTimeoutMs: reader.duration('SHUTDOWNTIMEOUT', {
      bareUnit: 's',
      fallback: timerDefault('shutdown_timeout'),
    }),
    statsIntervalMs: reader.duration('STATSINTERVAL', {
      bareUnit: 's',
      fallback: timerDefault('stats_interval'),
    }),
    logLevel: reader.boolean('DEBUG') ? 'debug' : 'info',
  };
}

function noteWithoutEffect(settings: Pg2sqsSettings, context: LoadContext, notes: string[]): void {
  for (const [name, why] of Object.entries(WITHOUT_EFFECT)) {
    const setting = settings.get(name);
    if (setting !== undefined) notes.push(`${setting.faultHere('').path} is accepted without effect: ${why}`);
  }
  for (const name of LICENCE_VARIABLES) {
    if (context.env[name] !== undefined)
      notes.push(`${name} is accepted without effect: Tailrace needs no licence key`);
  }
}

/** Names become file names and metric labels: other characters give way. */
const resourceNameOf = (text: string): string =>
  text.replaceAll(/[^A-Za-z0-9_.-]/g, '_').replace(/^[.-]/, '_');

function uniqueName(name: string, taken: Set<string>): string {
  let unique = name;
  for (let count = 2; taken.has(unique); count++) unique = `${name}-${count}`;
  taken.add(unique);
  return unique;
}

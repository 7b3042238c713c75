// Turns a tailrace.yaml into the service's settings, or says everything that is wrong with it.
import type { LogSettings } from '../log/settings.ts';
import type { ListenSettings, ServiceSettings, SinkSettings } from '../pipeline/settings.ts';
import { sinkDefinition } from '../sinks/registry.ts';
import { checkFile, valueAt } from './check.ts';
import { apiListen, dataDirectory, metricsListen, stateFile, type LoadContext } from './context.ts';
import {
  checkNames,
  checkPublications,
  checkTemplates,
  listOf,
  noteIgnoredKeys,
  type Reader,
} from './cross-checks.ts';
import { readCertificates, toDatabase } from './databases.ts';
import { MAX_BUFFERED } from './defaults.ts';
import { ConfigError, sortFaults, type Fault } from './faults.ts';
import { jsonSchemaOfFile } from './json-schema.ts';
import { fileSchema, type FileConfig } from './schema.ts';
import { includedTables, type SinkConfig } from './schema-sink.ts';
import { formatTableName } from './units.ts';
import type { YamlFile } from './yaml-file.ts';

/** Top-level keys that mean something. */
export const TOP_LEVEL_KEYS: ReadonlySet<string> = new Set(Object.keys(fileSchema.shape));

export type Reading = { readonly settings: ServiceSettings; readonly notes: readonly string[] };

/** Throws ConfigError with every fault. */
export async function readTailraceYaml(file: YamlFile, context: LoadContext): Promise<Reading> {
  const faults = [...file.faults];
  const notes: string[] = [];
  const reader: Reader = { file, context, faults, notes };
  if (file.value === undefined && faults.length === 0) faults.push(file.fault([], 'this file is empty'));
  if (file.value === undefined) throw new ConfigError(sortFaults(faults));
  const config = checkFile(fileSchema, jsonSchemaOfFile(), file, faults);
  checkNames(reader);
  checkTemplates(reader);
  const pems = await readCertificates(reader);
  if (config !== undefined) checkPublications(config, reader);
  const databases =
    config === undefined ? [] : await Promise.all(config.databases.map(toDatabase(pems, reader)));
  const listening = listeningOf(config, reader);
  if (config === undefined || faults.length > 0) throw new ConfigError(sortFaults(faults));
  noteIgnoredKeys(reader);
  const service = serviceOf(config, listening, dataDirectory(context));
  return { settings: { ...service, databases, sinks: config.sinks.map(toSink) }, notes };
}

type Listening = { readonly api: ListenSettings; readonly metrics: ListenSettings };

/** In a file with faults these sections are read by themselves: an API open to the world is said beside the other faults. */
function listeningOf(config: FileConfig | undefined, { file, context, faults }: Reader): Listening {
  const api = config?.api ?? fileSchema.shape.api.safeParse(valueAt(file.value, ['api'])).data;
  const metrics =
    config?.metrics ?? fileSchema.shape.metrics.safeParse(valueAt(file.value, ['metrics'])).data;
  const listen = (section: 'api' | 'metrics', value: ListenSettings = 'off') => {
    const isWritten = valueAt(file.value, [section, 'listen']) !== undefined;
    return { written: isWritten ? value : undefined, fallback: value };
  };
  const hasToken = (api?.tokens.length ?? 0) + listOf(file, 'api_tokens').length > 0;
  const faultHere = (message: string): Fault => file.fault(['api', 'listen'], message);
  return {
    api: apiListen(listen('api', api?.listen), { context, hasToken, faults, faultHere }),
    metrics: metricsListen(listen('metrics', metrics?.listen), context, faults),
  };
}

function serviceOf(
  config: FileConfig,
  listening: Listening,
  dataDir: string,
): Omit<ServiceSettings, 'databases' | 'sinks'> {
  return {
    dataDir,
    log: logSettings(config.log),
    state: { file: stateFile(config.state.url, dataDir) },
    deadLetters: deadLetterLimits(config.dead_letters),
    api: {
      listen: listening.api,
      tokens: [...config.api.tokens, ...config.api_tokens.map((entry) => entry.token)],
    },
    metrics: { listen: listening.metrics },
    shutdownTimeoutMs: config.shutdown_timeout,
    statsIntervalMs: config.stats_interval,
    logLevel: config.log_level,
  };
}

export const logSettings = (log: FileConfig['log']): LogSettings => ({
  segmentBytes: log.segment_bytes,
  retentionMs: log.retention,
  maxBytes: log.max_bytes ?? 0,
  minFreeBytes: log.min_free,
  maxMessageBytes: log.max_message_bytes,
});

export const deadLetterLimits = (limits: FileConfig['dead_letters']): ServiceSettings['deadLetters'] => ({
  retentionMs: limits.retention,
  maxCount: limits.max_count,
  maxBytes: limits.max_bytes,
});

/** A destination's type may have several spellings. */
const canonicalType = (written: string): string => sinkDefinition(written)?.type ?? written;

function toSink(config: SinkConfig): SinkSettings {
  const optionsOf = new Map(config.tables.map((table) => [formatTableName(table.name), table]));
  const tables = includedTables(config).map((name) => {
    const options = optionsOf.get(formatTableName(name));
    const groupColumns = options?.group_column_names ?? config.group_column_names;
    return {
      ...name,
      ...(options?.columns === undefined ? {} : { columns: options.columns }),
      ...(groupColumns === undefined ? {} : { groupColumns }),
    };
  });
  return {
    name: config.name,
    database: config.database,
    status: config.status,
    start: config.start ?? { from: 'default' },
    tables,
    actions: config.actions,
    format: config.format,
    values: {
      numeric: config.values.numeric ?? (config.format === 'pg2sqs' ? 'float' : 'string'),
      json: config.values.json,
      bytea: config.values.bytea,
    },
    ...(config.commit_time_column === undefined ? {} : { commitTimeColumn: config.commit_time_column }),
    messageGrouping: config.message_grouping,
    sameGroup: config.same_group,
    ...(config.max_retry_count === undefined ? {} : { maxRetryCount: config.max_retry_count }),
    retry: {
      initialBackoffMs: config.retry.initial_backoff,
      multiplier: config.retry.multiplier,
      maxBackoffMs: Math.max(config.retry.max_backoff, config.retry.initial_backoff),
      jitter: config.retry.jitter,
    },
    ...(config.batch_size === undefined ? {} : { batchSize: config.batch_size }),
    maxBuffered: MAX_BUFFERED,
    maxParked: config.max_parked,
    annotations: config.annotations,
    destination: {
      type: canonicalType((config.destination as { type: string }).type),
      config: config.destination,
    },
  };
}

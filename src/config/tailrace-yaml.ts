// Turns a tailrace.yaml into the service's settings, or says everything that is wrong with it.
import { DEFAULT_RETRY } from '../core/retry.ts';
import type { ServiceSettings, SinkSettings } from '../pipeline/settings.ts';
import { checkFile, valueAt } from './check.ts';
import { apiListen, dataDirectory, metricsListen, stateFile, type LoadContext } from './context.ts';
import {
  checkNames,
  checkPublications,
  checkTemplates,
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
import type { Path, YamlFile } from './yaml-file.ts';

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
  const service = config === undefined ? undefined : serviceOf(config, reader);
  if (config === undefined || service === undefined || faults.length > 0)
    throw new ConfigError(sortFaults(faults));
  noteIgnoredKeys(reader);
  return { settings: { ...service, databases, sinks: config.sinks.map(toSink) }, notes };
}

function serviceOf(
  config: FileConfig,
  { file, context, faults }: Reader,
): Omit<ServiceSettings, 'databases' | 'sinks'> {
  const dataDir = dataDirectory(context);
  const tokens = [...config.api.tokens, ...config.api_tokens.map((entry) => entry.token)];
  const written = <T>(value: T, path: Path): T | undefined =>
    valueAt(file.value, path) === undefined ? undefined : value;
  const api = { written: written(config.api.listen, ['api', 'listen']), fallback: config.api.listen };
  const metrics = {
    written: written(config.metrics.listen, ['metrics', 'listen']),
    fallback: config.metrics.listen,
  };
  const faultHere = (message: string): Fault => file.fault(['api', 'listen'], message);
  return {
    dataDir,
    log: {
      segmentBytes: config.log.segment_bytes,
      retentionMs: config.log.retention,
      maxBytes: config.log.max_bytes ?? 0,
      minFreeBytes: config.log.min_free,
      maxMessageBytes: config.log.max_message_bytes,
    },
    state: { file: stateFile(config.state.url, dataDir) },
    api: { listen: apiListen(api, { context, hasToken: tokens.length > 0, faults, faultHere }), tokens },
    metrics: { listen: metricsListen(metrics, context, faults) },
    shutdownTimeoutMs: config.shutdown_timeout,
    statsIntervalMs: config.stats_interval,
    logLevel: config.log_level,
  };
}

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
    retry: DEFAULT_RETRY,
    ...(config.batch_size === undefined ? {} : { batchSize: config.batch_size }),
    maxBuffered: MAX_BUFFERED,
    maxParked: config.max_parked,
    annotations: config.annotations,
    destination: { type: (config.destination as { type: string }).type, config: config.destination },
  };
}

// Turns a tailrace.yaml into the service's settings, or says everything that is wrong with it.
import type { LogSettings } from '../../log/settings.ts';
import { matchesTable, tablePattern } from '../../core/selection.ts';
import type { ListenSettings, ServiceSettings, SinkSettings, TableOptions } from '../../pipeline/settings.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import { readCertificates } from './certificates.ts';
import { checkFile, valueAt } from '../file/check.ts';
import { apiListen, dataDirectory, metricsListen, stateFile, type LoadContext } from '../context.ts';
import {
  checkNames,
  checkTemplates,
  listOf,
  noteIgnoredKeys,
  noteSharedBudgets,
  type Reader,
} from './cross-checks.ts';
import { toDatabase } from './databases.ts';
import { checkEndpoints, destinationReader, type DestinationReader } from './destinations.ts';
import { ConfigError, sortFaults, type Fault } from '../file/faults.ts';
import { jsonSchemaOfFile } from '../schema/json-schema.ts';
import { fileSchema, type FileConfig } from '../schema/file.ts';
import type { SinkConfig } from '../schema/sink.ts';
import { selectionOf } from './source-checks.ts';
import type { YamlFile } from '../file/yaml-file.ts';

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
  checkEndpoints(reader);
  const pems = await readCertificates(reader);
  const databases =
    config === undefined ? [] : await Promise.all(config.databases.map(toDatabase(pems, reader)));
  const listening = listeningOf(config, reader);
  if (config === undefined || faults.length > 0) throw new ConfigError(sortFaults(faults));
  noteIgnoredKeys(reader);
  noteSharedBudgets(config, notes);
  const service = serviceOf(config, listening, dataDirectory(context));
  return {
    settings: {
      ...service,
      databases,
      sinks: config.sinks.map(toSink(destinationReader(config.http_endpoints, { pems, notes }))),
    },
    notes,
  };
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

/** Sequin's older spelling names the columns of the group beside `table`. */
function tableOptions(config: SinkConfig): TableOptions[] {
  const options = config.tables.map(({ name, columns, group_column_names: groupColumns, actions }) => ({
    pattern: name,
    ...(columns && { columns }),
    ...(groupColumns && { groupColumns }),
    ...(actions && { actions }),
  }));
  const { table, group_column_names: groupColumns } = config;
  if (table === undefined || groupColumns === undefined) return options;
  const own = options.find(({ pattern }) => matchesTable(pattern, table));
  return [{ groupColumns, ...own, pattern: tablePattern(table) }, ...options];
}

const toSink =
  (destinationOf: DestinationReader) =>
  (config: SinkConfig, index: number): SinkSettings => {
    const destination = destinationOf(config, index);
    const batchSize = config.batch_size ?? sinkDefinition(destination.type)?.defaultBatchSize;
    return {
      name: config.name,
      database: config.database,
      status: config.status,
      start: config.start ?? { from: 'default' },
      selection: selectionOf(config),
      tables: tableOptions(config),
      actions: config.actions,
      format: config.format,
      values: {
        numeric: config.values.numeric ?? (config.format === 'pg2sqs' ? 'float' : 'string'),
        json: config.values.json,
        bytea: config.values.bytea,
      },
      ...(config.commit_time_column === undefined ? {} : { commitTimeColumn: config.commit_time_column }),
      messageGrouping: config.message_grouping,
      keyChanges: config.key_changes,
      ignoreMarkers: config.ignore_markers,
      sameGroup: config.same_group,
      loadShedding: config.load_shedding_policy === 'discard_on_full' ? 'discard' : 'pause',
      ...(config.max_retry_count === undefined ? {} : { maxRetryCount: config.max_retry_count }),
      retry: {
        initialBackoffMs: config.retry.initial_backoff,
        multiplier: config.retry.multiplier,
        maxBackoffMs: Math.max(config.retry.max_backoff, config.retry.initial_backoff),
        jitter: config.retry.jitter,
      },
      ...(batchSize === undefined ? {} : { batchSize }),
      maxParked: config.max_parked,
      annotations: config.annotations,
      destination,
    };
  };

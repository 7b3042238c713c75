// The one mapper: a file value, whichever language it was written in, becomes the service's settings, or everything that is
// wrong with it. Defaults are the schema's (config/schema/); here is none.
import { matchesTable, tablePattern } from '../../core/selection.ts';
import type { MessageFormat } from '../../formats/format.ts';
import { formats } from '../../formats/registry.ts';
import type { ColumnRules } from '../../functions/columns/rules.ts';
import type { LogSettings } from '../../log/settings.ts';
import type {
  ListenSettings,
  ServiceSettings,
  SinkBackfill,
  SinkSettings,
  TableOptions,
} from '../../pipeline/settings.ts';
import { dataDirectory, stateFile, type LoadContext } from '../context.ts';
import { checkFile } from '../file/check.ts';
import { ConfigError, formatFault, sortFaults, type Fault } from '../file/faults.ts';
import { listOf, valueAt, type FileValue } from '../file/file-value.ts';
import { apiListen, metricsListen } from '../listening.ts';
import { logFormatOf, logLevelOf } from '../logging.ts';
import { fileSchema, withDatabases, type FileConfig } from '../schema/file.ts';
import { jsonSchemaOfFile } from '../schema/file-json-schema.ts';
import type { SinkConfig } from '../schema/sink.ts';
import { readCertificates, withCertificates } from './certificates.ts';
import { checkRuleNames, rulesOf } from './column-rules.ts';
import { checkNames, checkTemplates, type Reader } from './cross-checks.ts';
import { noteUnverifiedDatabase, retrySettings, toDatabase } from './databases.ts';
import { checkEndpoints, noteDestination, noteUnverifiedDestination, toDestination } from './destinations.ts';
import { NO_FILTERS, readFilters, type Filters, type SinkFilters } from './filters.ts';
import { checkFunctions, pathOf } from './functions.ts';
import { selectionOf } from './source-checks.ts';
import { checkPlaces, readAllSurroundings, withPlaces } from './surroundings.ts';

export type Reading = {
  readonly settings: ServiceSettings;
  /** What the settings were made from. */
  readonly config: FileConfig;
  readonly notes: readonly string[];
};

/** Throws ConfigError with every fault. */
export async function settingsOf(file: FileValue, context: LoadContext): Promise<Reading> {
  const faults = [...file.faults];
  const notes: string[] = [...file.notes];
  const reader: Reader = { file, context, faults, notes };
  const parsed = checkFile(fileSchema, jsonSchemaOfFile(), file, faults);
  checkNames(reader);
  checkTemplates(reader);
  checkRuleNames(reader);
  checkEndpoints(reader);
  checkFunctions(reader);
  const surroundings = await readAllSurroundings(reader);
  await checkPlaces(reader, surroundings);
  const filters = await readFilters(reader);
  const certificates = await readCertificates(reader, surroundings);
  const databases = withPlaces(parsed?.databases ?? [], surroundings, reader);
  for (const database of databases) noteUnverifiedDatabase(database, notes);
  const listening = listeningOf(parsed, reader);
  if (parsed === undefined || faults.length > 0) throw new ConfigError(sortFaults(faults));
  const config = withCertificates(withDatabases(parsed, databases), certificates);
  const settings = toService(config, { listening, filters }, reader);
  for (const sink of settings.sinks) {
    const { name, destination } = sink;
    noteFormat(sink, notes);
    noteUnverifiedDestination(name, destination, notes);
    noteDestination(name, destination, notes);
  }
  return { settings, config, notes };
}

type Listening = { readonly api: ListenSettings; readonly metrics: ListenSettings };
type Sections = Pick<FileConfig, 'api' | 'metrics'>;

/** In a file with faults these sections are read by themselves: an API open to the world is said beside the other faults. */
function listeningOf(config: Sections | undefined, { file, context, faults, notes }: Reader): Listening {
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
    api: apiListen(listen('api', api?.listen), { context, hasToken, faults, notes, faultHere }),
    metrics: metricsListen(listen('metrics', metrics?.listen), { context, faults, notes }),
  };
}

/** Sequin's variables speak where the file says neither. */
function metricsLogin({ username, password }: FileConfig['metrics'], { env }: LoadContext) {
  const isWritten = username !== undefined || password !== undefined;
  const user = isWritten ? username : env['SEQUIN_METRICS_USER'];
  const secret = isWritten ? password : env['SEQUIN_METRICS_PASSWORD'];
  if (!user && !secret) return {};
  return { login: { username: user ?? '', password: secret ?? '' } };
}

const toService = (
  config: FileConfig,
  { listening, filters }: { readonly listening: Listening; readonly filters: Filters },
  { file, context, notes }: Reader,
): ServiceSettings => ({
  dataDir: dataDirectory(context),
  databases: config.databases.map(toDatabase),
  sinks: config.sinks.map((sink, index) => {
    const rules = sink.tables.map((table, i) => {
      const at = file.fault(['sinks', index, 'tables', i], '');
      return rulesOf(table, formatFault(at).trimEnd());
    });
    return toSink(sink, config, { ...(filters[index] ?? NO_FILTERS), rules });
  }),
  log: logSettings(config.log),
  state: { file: stateFile(config.state.url, dataDirectory(context)) },
  deadLetters: {
    retentionMs: config.dead_letters.retention,
    maxCount: config.dead_letters.max_count,
    maxBytes: config.dead_letters.max_bytes,
  },
  api: {
    listen: listening.api,
    tokens: [...config.api.tokens, ...config.api_tokens.map((entry) => entry.token)],
  },
  metrics: { listen: listening.metrics, ...metricsLogin(config.metrics, context) },
  shutdownTimeoutMs: config.shutdown_timeout,
  statsIntervalMs: config.stats_interval,
  logLevel: logLevelOf(config.log_level, context.env, notes),
  logFormat: logFormatOf(config.log_format, context.env, notes),
});

const logSettings = (log: FileConfig['log']): LogSettings => ({
  segmentBytes: log.segment_bytes,
  retentionMs: log.retention,
  maxBytes: log.max_bytes ?? 0,
  minFreeBytes: log.min_free,
  maxMessageBytes: log.max_message_bytes,
});

/** What knows where it was written; rules by the index of the table's entry. */
type Placed = SinkFilters & { readonly rules: readonly (ColumnRules | undefined)[] };

const toSink = (config: SinkConfig, file: FileConfig, placed: Placed): SinkSettings => ({
  name: config.name,
  database: config.database,
  status: config.status,
  start: config.start,
  selection: selectionOf(config),
  tables: tableOptions(config, placed),
  backfill: backfillOf(config),
  actions: config.actions,
  ...(placed.where && { where: placed.where }),
  onAbsent: config.on_absent,
  deletesOutside: config.deletes_outside,
  whereMoves: config.where_moves,
  routeMoves: config.route_moves,
  onSchemaBreak: config.on_schema_break,
  format: config.format,
  formatOptions: config.format_options,
  ...pathOf(config, file),
  values: config.values,
  ...(config.mask_key === undefined ? {} : { maskKey: config.mask_key }),
  messageGrouping: config.message_grouping,
  keyChanges: config.key_changes,
  ddl: config.ddl,
  ignoreMarkers: config.ignore_markers,
  sameGroup: config.same_group,
  loadShedding: config.load_shedding_policy === 'discard_on_full' ? 'discard' : 'pause',
  ...(config.max_retry_count === undefined ? {} : { maxRetryCount: config.max_retry_count }),
  retry: retrySettings(config.retry),
  ...(config.batch_size === undefined ? {} : { batchSize: config.batch_size }),
  ...(config.max_buffered === undefined ? {} : { maxBuffered: config.max_buffered }),
  maxParked: config.max_parked,
  annotations: config.annotations,
  destination: toDestination(config, file.http_endpoints),
});

const backfillOf = ({ backfill, initial_backfill: initial }: SinkConfig): SinkBackfill => ({
  ...(backfill.reads === undefined ? {} : { reads: backfill.reads }),
  ...(initial === undefined ? {} : { initial }),
  limits: {
    queryTimeoutMs: backfill.query_timeout,
    workers: backfill.workers,
    ...(backfill.max_rows_per_second === undefined ? {} : { maxRowsPerSecond: backfill.max_rows_per_second }),
    ...(backfill.gives_way ? {} : { givesWay: false }),
  },
});

/** Sequin's older spelling names the columns of the group beside `table`. */
function tableOptions(config: SinkConfig, { tables, rules }: Placed): TableOptions[] {
  const options = config.tables.map(
    ({ name, columns, group_column_names: groupColumns, actions }, index) => ({
      pattern: name,
      ...(columns && { columns }),
      ...(groupColumns && { groupColumns }),
      ...(actions && { actions }),
      ...(tables[index] && { where: tables[index] }),
      ...(rules[index] && { rules: rules[index] }),
    }),
  );
  const { table, group_column_names: groupColumns } = config;
  if (table === undefined || groupColumns === undefined) return options;
  const own = options.find(({ pattern }) => matchesTable(pattern, table));
  return [{ groupColumns, ...own, pattern: tablePattern(table) }, ...options];
}

/** What the sink's format has to say of its options. */
function noteFormat({ name, format, formatOptions }: SinkSettings, notes: string[]): void {
  const { notesOf }: MessageFormat = formats[format];
  for (const note of notesOf?.(formatOptions) ?? []) notes.push(`sink ${name}: ${note}`);
}

// pg2sqs' configuration as one flat list: its YAML is brought into the names of its variables, then both are merged.
import { nearestName } from '../../core/nearest-name.ts';
import { MAX_ADVISED, type Fault } from '../file/faults.ts';
import type { FileValue, Path } from '../file/file-value.ts';
import type { Variables } from '../file/variables.ts';

export const PREFIX = 'PG2SQS_';

/** Settings outside of tables, as the YAML spells them. */
const SETTING_PATHS = [
  'debug',
  'flushInterval',
  'flushQueueDepth',
  'flushWorkers',
  'maxWriteQueueSize',
  'writeTimeout',
  'shutdownTimeout',
  'statsInterval',
  'retryPolicy.maxRetries',
  'retryPolicy.maxConnectionRetries',
  'retryPolicy.initialBackoff',
  'retryPolicy.multiplier',
  'retryPolicy.jitter',
  'retryPolicy.maxBackoff',
  'postgres.conn.host',
  'postgres.conn.port',
  'postgres.conn.database',
  'postgres.conn.user',
  'postgres.conn.password',
  'postgres.conn.tls.cert',
  'postgres.conn.tls.key',
  'postgres.conn.tls.rootCert',
  'postgres.repl.pub',
  'postgres.repl.slot',
  'postgres.repl.owner',
  'postgres.numericMode',
  'postgres.standByTimeout',
  'postgres.receiveTimeout',
  'sqs.commitTimeColumn',
  'cpuprof.enabled',
  'watchXid',
] as const;

const QUEUE_PATHS = ['', '.insert', '.update', '.delete'].flatMap((action) =>
  ['name', 'url', 'groupID'].map((key) => `queue${action}.${key}`),
);

const variableOf = (path: string): string => path.toUpperCase().replaceAll('.', '_');

/** Of a table's queues, by what follows `T_<n>_`. */
const tableVariableOf = (path: string): string => variableOf(path).replace('QUEUE', 'Q');

/** YAML spelling by variable, without `PG2SQS_`. */
const SETTINGS: ReadonlyMap<string, string> = new Map(SETTING_PATHS.map((path) => [variableOf(path), path]));

/** The same for one table, by what follows `T_<n>_`. */
export const TABLE_SETTINGS: ReadonlyMap<string, string> = new Map([
  ['NAME', 'name'],
  ['COLUMNS', 'columns'],
  ['OPTIONS', 'options'],
  ...QUEUE_PATHS.map((path) => [tableVariableOf(path), path] as const),
]);

/** The documents show `tls` under `postgres` as well as under `postgres.conn`. */
const OTHER_SPELLINGS = /^POSTGRES_TLS_/;

export type Setting = { readonly text: string; readonly faultHere: (message: string) => Fault };

/** Known settings by their variable's name without `PG2SQS_`: `POSTGRES_CONN_HOST`, `T_0_Q_NAME`. */
export type Pg2sqsSettings = ReadonlyMap<string, Setting>;

/** Top-level keys of the YAML. */
export const PG2SQS_TOP_LEVEL: ReadonlySet<string> = new Set([
  'tables',
  ...SETTING_PATHS.map((path) => path.split('.')[0]!),
]);

/** Names the file; read before anything else. */
export const PG2SQS_CONFIG_PATH = `${PREFIX}CONFIG_PATH`;

/** Does a file with these top-level keys belong to pg2sqs? */
export const looksLikePg2sqs = (keys: readonly string[]): boolean =>
  !keys.includes('databases') && !keys.includes('sinks') && keys.some((key) => PG2SQS_TOP_LEVEL.has(key));

/** Is there any pg2sqs variable but the one that names the file? */
export const hasPg2sqsVariables = (env: Variables): boolean =>
  Object.keys(env).some((name) => name.startsWith(PREFIX) && name !== PG2SQS_CONFIG_PATH);

/** Settings of the environment. An empty variable is one that is not set. */
export function settingsOfEnvironment(env: Variables, faults: Fault[]): Pg2sqsSettings {
  const settings = new Map<string, Setting>();
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || variable === PG2SQS_CONFIG_PATH || text === undefined) continue;
    const faultHere = (message: string): Fault => ({ file: 'environment', path: variable, message });
    const name = variable.slice(PREFIX.length).replace(OTHER_SPELLINGS, 'POSTGRES_CONN_TLS_');
    if (isKnown(name)) {
      if (text !== '') settings.set(name, { text, faultHere });
      continue;
    }
    const nearest = faults.length < MAX_ADVISED ? nearestSetting(name)?.variable : undefined;
    faults.push({
      ...faultHere('unknown variable'),
      ...(nearest !== undefined && { nearest: PREFIX + nearest }),
    });
  }
  return settings;
}

/** Settings of a file, under the same names. */
export function settingsOfYaml(file: FileValue, faults: Fault[]): Pg2sqsSettings {
  const settings = new Map<string, Setting>();
  const put = (name: string, path: Path, text: string): void => {
    const known = name.replace(OTHER_SPELLINGS, 'POSTGRES_CONN_TLS_');
    if (isKnown(known)) {
      // The name of a table is a key.
      const at = /^T_\d+_NAME$/.test(known) ? 'key' : 'value';
      settings.set(known, { text, faultHere: (message) => file.fault(path, message, at) });
      return;
    }
    const nearest = faults.length < MAX_ADVISED ? nearestSetting(known)?.path : undefined;
    faults.push({ ...file.fault(path, 'unknown key', 'key'), ...(nearest !== undefined && { nearest }) });
  };
  const flatten = (name: string, path: Path, value: unknown): void => {
    if (isMapping(value)) {
      for (const [key, child] of Object.entries(value)) {
        flatten(`${name}_${key.toUpperCase()}`, [...path, key], child);
      }
    } else if (Array.isArray(value)) {
      // Variables write a list with commas.
      put(name, path, value.map((item, index) => file.text([...path, index]) ?? String(item)).join(','));
    } else if (value !== undefined || !isKnown(name)) {
      put(name, path, file.text(path) ?? '');
    }
  };
  for (const [key, value] of Object.entries(file.value as Record<string, unknown>)) {
    if (key === 'tables') addTables(value, { file, faults, put, flatten });
    else flatten(key.toUpperCase(), [key], value);
  }
  return settings;
}

type TableReader = {
  readonly file: FileValue;
  readonly faults: Fault[];
  put(name: string, path: Path, text: string): void;
  flatten(name: string, path: Path, value: unknown): void;
};

const BESIDE_NAME: ReadonlySet<string> = new Set([
  'columns',
  'options',
  'queue',
  'insert',
  'update',
  'delete',
]);

/**
 * Tables are a mapping of names to settings, or a list. In that a table is a mapping of its name to its settings, or of its
 * name to nothing with the settings beside it; actions stand inside `queue` or beside it. The documents show all of these.
 */
function addTables(tables: unknown, reader: TableReader): void {
  if (isMapping(tables)) {
    for (const [number, [name, settings]] of Object.entries(tables).entries()) {
      const path: Path = ['tables', name];
      reader.put(`T_${number}_NAME`, path, name);
      if (isMapping(settings)) addTable(number, { path, settings }, reader);
      else if (settings !== undefined)
        reader.faults.push(
          reader.file.fault(path, 'the settings of a table are expected: columns and queue'),
        );
    }
    return;
  }
  if (!Array.isArray(tables)) {
    const message = 'tables are expected, by their names: "schema.table:", then columns and queue';
    reader.faults.push(reader.file.fault(['tables'], message));
    return;
  }
  for (const [number, item] of tables.entries()) {
    const path: Path = ['tables', number];
    const entry = isMapping(item) ? item : {};
    const keys = Object.keys(entry);
    const isName = (key: string): boolean =>
      (entry[key] === undefined || isMapping(entry[key])) && (!BESIDE_NAME.has(key) || keys.length === 1);
    const name = keys.find(isName);
    if (name === undefined) {
      const message = 'a table is expected: "- schema.table:", then columns and queue';
      reader.faults.push(reader.file.fault(path, message));
      continue;
    }
    reader.put(`T_${number}_NAME`, [...path, name], name);
    const { [name]: inside, ...beside } = entry;
    if (isMapping(inside)) addTable(number, { path: [...path, name], settings: inside }, reader);
    addTable(number, { path, settings: beside }, reader);
  }
}

function addTable(
  number: number,
  table: { readonly path: Path; readonly settings: Readonly<Record<string, unknown>> },
  reader: TableReader,
): void {
  for (const [key, value] of Object.entries(table.settings)) {
    if (key === 'options') {
      reader.put(`T_${number}_OPTIONS`, [...table.path, key], '');
      continue;
    }
    const isAction = key === 'insert' || key === 'update' || key === 'delete';
    const name = key === 'queue' ? 'Q' : isAction ? `Q_${key.toUpperCase()}` : key.toUpperCase();
    reader.flatten(`T_${number}_${name}`, [...table.path, key], value);
  }
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const TABLE_VARIABLE = /^(T_\d+_)(.+)$/;

function isKnown(name: string): boolean {
  const table = TABLE_VARIABLE.exec(name);
  return table === null ? SETTINGS.has(name) : TABLE_SETTINGS.has(table[2]!);
}

/** The known setting that looks most like this one, in both spellings. */
function nearestSetting(name: string): { variable: string; path: string } | undefined {
  const table = TABLE_VARIABLE.exec(name);
  const known = table === null ? SETTINGS : TABLE_SETTINGS;
  const nearest = nearestName(table?.[2] ?? name, known.keys());
  return nearest === undefined
    ? undefined
    : { variable: (table?.[1] ?? '') + nearest, path: known.get(nearest)! };
}

/** A required setting that stands nowhere. */
export function missingSetting(name: string, file: string | undefined): Fault {
  const variable = PREFIX + name;
  const message = 'this is missing';
  if (file === undefined) return { file: 'environment', path: variable, message };
  return { file, path: `${SETTINGS.get(name) ?? 'tables'} (${variable})`, message };
}

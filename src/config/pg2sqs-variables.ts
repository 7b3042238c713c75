// pg2sqs' configuration as one flat list: its YAML is brought into the names of its variables, then both are merged.
import { formatFault, nearestName, type Fault } from './faults.ts';
import { ConfigError, sortFaults } from './faults.ts';
import type { Variables } from './variables.ts';
import type { Path, YamlFile } from './yaml-file.ts';

const PREFIX = 'PG2SQS_';

/** Settings outside of tables, by their variable's name without the prefix. */
const SETTINGS: ReadonlySet<string> = new Set([
  'DEBUG',
  'FLUSHINTERVAL',
  'FLUSHQUEUEDEPTH',
  'FLUSHWORKERS',
  'MAXWRITEQUEUESIZE',
  'WRITETIMEOUT',
  'SHUTDOWNTIMEOUT',
  'STATSINTERVAL',
  'RETRYPOLICY_MAXRETRIES',
  'RETRYPOLICY_MAXCONNECTIONRETRIES',
  'RETRYPOLICY_INITIALBACKOFF',
  'RETRYPOLICY_MULTIPLIER',
  'RETRYPOLICY_JITTER',
  'RETRYPOLICY_MAXBACKOFF',
  'POSTGRES_CONN_HOST',
  'POSTGRES_CONN_PORT',
  'POSTGRES_CONN_DATABASE',
  'POSTGRES_CONN_USER',
  'POSTGRES_CONN_PASSWORD',
  'POSTGRES_CONN_TLS_CERT',
  'POSTGRES_CONN_TLS_KEY',
  'POSTGRES_CONN_TLS_ROOTCERT',
  'POSTGRES_REPL_PUB',
  'POSTGRES_REPL_SLOT',
  'POSTGRES_REPL_OWNER',
  'POSTGRES_NUMERICMODE',
  'POSTGRES_STANDBYTIMEOUT',
  'POSTGRES_RECEIVETIMEOUT',
  'SQS_COMMITTIMECOLUMN',
  'CPUPROF_ENABLED',
  'WATCHXID',
  'CONFIG_PATH',
]);

const QUEUE_SETTINGS = ['', 'INSERT_', 'UPDATE_', 'DELETE_'].flatMap((action) =>
  ['NAME', 'URL', 'GROUPID'].map((key) => `Q_${action}${key}`),
);

/** Settings of one table, by what follows `T_<n>_`. */
const TABLE_SETTINGS: ReadonlySet<string> = new Set(['NAME', 'COLUMNS', ...QUEUE_SETTINGS]);

/** The documents show `tls` under `postgres` as well as under `postgres.conn`. */
const OTHER_SPELLINGS = /^POSTGRES_TLS_/;

export type Setting = { readonly text: string; readonly faultHere: (message: string) => Fault };

/** Known settings by their variable's name without `PG2SQS_`: `POSTGRES_CONN_HOST`, `T_0_Q_NAME`. */
export type Pg2sqsSettings = ReadonlyMap<string, Setting>;

/** Top-level keys of the YAML. */
export const PG2SQS_TOP_LEVEL: ReadonlySet<string> = new Set([
  'postgres',
  'sqs',
  'tables',
  'flushInterval',
  'flushQueueDepth',
  'flushWorkers',
  'maxWriteQueueSize',
  'writeTimeout',
  'shutdownTimeout',
  'statsInterval',
  'retryPolicy',
  'debug',
  'cpuprof',
  'watchxid',
  'watchXid',
]);

/** Does a file with these top-level keys belong to pg2sqs? */
export const looksLikePg2sqs = (keys: readonly string[]): boolean =>
  !keys.includes('databases') && !keys.includes('sinks') && keys.some((key) => PG2SQS_TOP_LEVEL.has(key));

/** Is there any pg2sqs variable but the one that names the file? */
export const hasPg2sqsVariables = (env: Variables): boolean =>
  Object.keys(env).some((name) => name.startsWith(PREFIX) && name !== `${PREFIX}CONFIG_PATH`);

/** Settings of the environment. An empty variable is one that is not set. */
export function settingsOfEnvironment(env: Variables, faults: Fault[]): Pg2sqsSettings {
  const settings = new Map<string, Setting>();
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(PREFIX) || text === undefined) continue;
    const faultHere = (message: string): Fault => ({ file: 'environment', path: variable, message });
    const name = variable.slice(PREFIX.length).replace(OTHER_SPELLINGS, 'POSTGRES_CONN_TLS_');
    if (!isKnown(name)) faults.push(withNearest(faultHere('unknown variable'), name, (known) => PREFIX + known));
    else if (text !== '') settings.set(name, { text, faultHere });
  }
  return settings;
}

/** Settings of a file, under the same names. */
export function settingsOfYaml(file: YamlFile, faults: Fault[]): Pg2sqsSettings {
  const settings = new Map<string, Setting>();
  const add = (name: string, path: Path, value: unknown): void => {
    if (typeof value === 'object' && !isScalarList(value)) {
      for (const [key, child] of Object.entries(value ?? {})) add(`${name}_${key.toUpperCase()}`, [...path, key], child);
      return;
    }
    const faultHere = (message: string): Fault => file.fault(path, message);
    const known = name.replace(OTHER_SPELLINGS, 'POSTGRES_CONN_TLS_');
    if (!isKnown(known)) {
      faults.push(withNearest(file.fault(path, 'unknown key', 'key'), known, (other) => other.toLowerCase()));
    } else if (value !== undefined) {
      settings.set(known, { text: textOf(file, path, value), faultHere });
    }
  };
  for (const [key, value] of Object.entries(file.value as Record<string, unknown>)) {
    if (key === 'tables') addTables(file, value, { add, faults });
    else add(key.toUpperCase(), [key], value);
  }
  return settings;
}

/** Environment over file. A table keeps its number, so both must mean the same one by it. */
export function mergeSettings(file: Pg2sqsSettings, environment: Pg2sqsSettings, faults: Fault[]): Pg2sqsSettings {
  for (const [name, { text, faultHere }] of environment) {
    const inFile = file.get(name);
    if (!/^T_\d+_NAME$/.test(name) || inFile === undefined || inFile.text === text) continue;
    const message = `this is table "${text}", but the file's table of this number is "${inFile.text}": number on, or take one of them out`;
    faults.push(faultHere(message));
  }
  return new Map([...file, ...environment]);
}

type TableSink = { add(name: string, path: Path, value: unknown): void; readonly faults: Fault[] };

const BESIDE_NAME: ReadonlySet<string> = new Set(['columns', 'queue', 'insert', 'update', 'delete']);

/**
 * A table is a mapping of its name to its settings, or of its name to nothing with the settings beside it; actions
 * stand inside `queue` or beside it. The documents show all of these.
 */
function addTables(file: YamlFile, tables: unknown, { add, faults }: TableSink): void {
  if (!Array.isArray(tables)) {
    faults.push(file.fault(['tables'], 'a list of tables is expected: "- schema.table:"'));
    return;
  }
  for (const [number, item] of tables.entries()) {
    const path: Path = ['tables', number];
    const keys = typeof item === 'object' && item !== null && !Array.isArray(item) ? Object.keys(item) : [];
    const entry = item as Record<string, unknown>;
    const names = keys.filter((key) => !BESIDE_NAME.has(key) || (keys.length === 1 && entry[key] !== undefined));
    const [name] = names;
    if (name === undefined || names.length > 1) {
      faults.push(file.fault(path, 'a table is expected: "- schema.table:", then columns and queue'));
      continue;
    }
    const prefix = `T_${number}`;
    add(`${prefix}_NAME`, [...path, name], name);
    const inside = entry[name];
    if (typeof inside === 'object' && inside !== null) addTable(prefix, [...path, name], inside, add);
    const beside = Object.fromEntries(Object.entries(entry).filter(([key]) => key !== name));
    addTable(prefix, path, beside, add);
  }
}

function addTable(prefix: string, path: Path, table: object, add: TableSink['add']): void {
  for (const [key, value] of Object.entries(table)) {
    const isAction = key === 'insert' || key === 'update' || key === 'delete';
    const name = key === 'queue' ? 'Q' : isAction ? `Q_${key.toUpperCase()}` : key.toUpperCase();
    add(`${prefix}_${name}`, [...path, key], value);
  }
}

const isScalarList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((item) => typeof item !== 'object');

/** A table's name stands in the file as a key; lists are written with commas in variables. */
function textOf(file: YamlFile, path: Path, value: unknown): string {
  if (Array.isArray(value)) return value.map((item, index) => file.text([...path, index]) ?? String(item)).join(',');
  return (value === path.at(-1) ? undefined : file.text(path)) ?? String(value);
}

function isKnown(name: string): boolean {
  const table = /^T_\d+_(.+)$/.exec(name);
  return table === null ? SETTINGS.has(name) : TABLE_SETTINGS.has(table[1]!);
}

function withNearest(fault: Fault, name: string, spell: (known: string) => string): Fault {
  const table = /^(T_\d+_)(.+)$/.exec(name);
  const nearest =
    table === null ? nearestName(name, SETTINGS) : prefixed(table[1]!, nearestName(table[2]!, TABLE_SETTINGS));
  return nearest === undefined ? fault : { ...fault, nearest: spell(nearest) };
}

const prefixed = (prefix: string, name: string | undefined): string | undefined =>
  name === undefined ? undefined : prefix + name;

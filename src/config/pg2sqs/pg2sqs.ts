// Reads pg2sqs' configuration (YAML and PG2SQS_* variables): it is translated into what a tailrace.yaml would say, which
// becomes settings as any other does. docs/compatibility.md says how.
import type { LoadContext } from '../context.ts';
import type { Fault } from '../file/faults.ts';
import type { FileValue } from '../file/file-value.ts';
import { connectionSchema } from '../schema/database.ts';
import { settingsOf, type Reading } from '../tailrace/settings.ts';
import { mergeSettings } from './merge.ts';
import { Pg2sqsReader } from './reader.ts';
import { resourceNameOf, translateRetry, translateSinks } from './sinks.ts';
import { readTables } from './tables.ts';
import { inMs, Translation, type Put } from './translation.ts';
import { missingSetting, settingsOfEnvironment, settingsOfYaml, type Pg2sqsSettings } from './variables.ts';

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
export async function readPg2sqs(file: FileValue | undefined, context: LoadContext): Promise<Reading> {
  const faults: Fault[] = [...(file?.faults ?? [])];
  const inFile = file?.value === undefined ? new Map() : settingsOfYaml(file, faults);
  const settings = mergeSettings(inFile, settingsOfEnvironment(context.env, faults), faults);
  const reader = new Pg2sqsReader(settings, faults, file?.file);
  const translation = new Translation();
  translateService(reader, translation);
  const database = translateDatabase(reader, translation);
  const tables = readTables({ settings, faults });
  if (tables.length === 0 && faults.length === 0) faults.push(missingSetting('T_0_NAME', file?.file));
  translateSinks(tables, { reader, translation, database });
  const written = translation.fileValue({
    file: file?.file ?? 'environment',
    directory: context.cwd,
    faults,
    notes: file?.notes ?? [],
  });
  const reading = await settingsOf(written, context);
  return { ...reading, notes: [...notesWithoutEffect(settings, context), ...reading.notes] };
}

function translateService(reader: Pg2sqsReader, translation: Translation): void {
  const timer = (name: string): string | undefined => inMs(reader.duration(name, { bareUnit: 's' }));
  const put = translation.putFrom(reader, []);
  put(['shutdown_timeout'], timer('SHUTDOWNTIMEOUT'), 'SHUTDOWNTIMEOUT');
  put(['stats_interval'], timer('STATSINTERVAL'), 'STATSINTERVAL');
  put(['log_level'], reader.boolean('DEBUG') === true ? 'debug' : undefined, 'DEBUG');
}

/** Answers the database's name; undefined where it is missing. */
function translateDatabase(reader: Pg2sqsReader, translation: Translation): string | undefined {
  const put = translation.putFrom(reader, ['databases', 0]);
  const database = reader.text('POSTGRES_CONN_DATABASE');
  const name = database === undefined ? undefined : resourceNameOf(database);
  const hosts = reader
    .text('POSTGRES_CONN_HOST')
    ?.split(',')
    .map((host) => host.trim());
  const port = reader.number('POSTGRES_CONN_PORT', { least: 1, most: 65_535, whole: true });
  put(['name'], name, 'POSTGRES_CONN_DATABASE');
  put(
    ['hostname'],
    hosts?.filter((host) => host !== ''),
    'POSTGRES_CONN_HOST',
  );
  put(['port'], port, 'POSTGRES_CONN_PORT');
  put(['database'], database, 'POSTGRES_CONN_DATABASE');
  put(['username'], reader.required('POSTGRES_CONN_USER'), 'POSTGRES_CONN_USER');
  put(['password'], reader.text('POSTGRES_CONN_PASSWORD') ?? '', 'POSTGRES_CONN_PASSWORD');
  put(['slot', 'name'], reader.text('POSTGRES_REPL_SLOT'), 'POSTGRES_REPL_SLOT');
  put(['slot', 'ack'], 'delivered', 'POSTGRES_REPL_SLOT');
  put(['slot', 'failover'], 'unaltered', 'POSTGRES_REPL_SLOT');
  put(['publication', 'name'], reader.text('POSTGRES_REPL_PUB'), 'POSTGRES_REPL_PUB');
  // A tls block says no mode, so all of it is meant; without one nothing is demanded.
  for (const [key, setting] of [
    ['ca', 'POSTGRES_CONN_TLS_ROOTCERT'],
    ['cert', 'POSTGRES_CONN_TLS_CERT'],
    ['key', 'POSTGRES_CONN_TLS_KEY'],
  ] as const) {
    put(['tls', key], reader.text(setting), setting);
  }
  translateConnection(reader, translation.putFrom(reader, ['databases', 0, 'connection']));
  return name;
}

function translateConnection(reader: Pg2sqsReader, put: Put): void {
  const standby = reader.duration('POSTGRES_STANDBYTIMEOUT', { bareUnit: 's', least: 1 });
  // There it is how long one read waits; here silence ends the connection, so it is never shorter than our own.
  const receive = reader.duration('POSTGRES_RECEIVETIMEOUT', { bareUnit: 's' });
  const own = connectionSchema.shape.receive_timeout.parse(undefined);
  const limit = reader.number('RETRYPOLICY_MAXCONNECTIONRETRIES', { least: 0, whole: true });
  put(['status_interval'], inMs(standby), 'POSTGRES_STANDBYTIMEOUT');
  put(
    ['receive_timeout'],
    inMs(receive === undefined ? undefined : Math.max(receive, own)),
    'POSTGRES_RECEIVETIMEOUT',
  );
  put(['max_retry_count'], limit === 0 ? undefined : limit, 'RETRYPOLICY_MAXCONNECTIONRETRIES');
  translateRetry(reader, put);
}

function notesWithoutEffect(settings: Pg2sqsSettings, { env }: LoadContext): readonly string[] {
  const found = Object.entries(WITHOUT_EFFECT).flatMap(([name, why]) => {
    const place = settings.get(name)?.faultHere('').path;
    return place === undefined ? [] : `${place} is accepted without effect: ${why}`;
  });
  const options = [...settings].flatMap(([name, { faultHere }]) =>
    /^T_\d+_OPTIONS$/.test(name) ? faultHere('').path : [],
  );
  if (options.length > 0) {
    const verb = options.length === 1 ? 'is' : 'are';
    found.push(`${options.join(', ')} ${verb} accepted without effect: no option concerns queues`);
  }
  const licences = LICENCE_VARIABLES.filter((name) => env[name] !== undefined);
  return [
    ...found,
    ...licences.map((name) => `${name} is accepted without effect: Tailrace needs no licence key`),
  ];
}

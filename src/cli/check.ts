// `tailrace check`: is the configuration valid? All faults at once, without connecting to anything but, where that is asked for, to the
// databases: are there the tables and columns that it names, and does the application's UPDATE work on them?
import type { LoadedSettings } from '../config/load.ts';
import { describeSelection } from '../core/selection.ts';
import type { Said } from './check-databases.ts';
import { loadConfiguration } from './configuration.ts';
import { EXIT, painterFor, writeJson, writeLine, type CliPorts } from './ports.ts';

export type CheckOptions = {
  readonly config?: string;
  readonly json?: boolean;
  /** Compare it with the databases. */
  readonly database?: boolean;
};

export async function check(options: CheckOptions, ports: CliPorts): Promise<number> {
  const loaded = await loadConfiguration(options, ports);
  const asked = options.database === true ? await askDatabases(loaded) : undefined;
  if (options.json !== true) for (const each of asked?.names ?? []) sayOf(each, ports);
  if (options.json !== true) for (const each of asked?.unfit ?? []) sayOf(each, ports, 'warning');
  if (asked !== undefined && asked.names.length > 0) {
    const { names, unfit } = asked;
    if (options.json === true) writeJson(ports.stdout, { ok: false, names, warnings: unfit }, 2);
    return EXIT.usage;
  }
  const warnings = asked && { warnings: asked.unfit };
  if (options.json === true) writeJson(ports.stdout, { ...summaryOf(loaded), ...warnings }, 2);
  else printSummary(loaded, ports);
  return EXIT.ok;
}

function sayOf({ database, title, detail, cure }: Said, ports: CliPorts, kind?: string): void {
  const what = kind === undefined ? '' : `${painterFor(ports.stderr, ports.env)('yellow', kind)}  `;
  writeLine(ports.stderr, `${what}database ${database}  ${title}: ${detail} — ${cure}`);
}

async function askDatabases(loaded: LoadedSettings) {
  // Whoever asks nobody needs no client of Postgres.
  const databases = await import('./check-databases.ts');
  return databases.askDatabases(loaded);
}

/** What was understood; nothing here can be a secret. */
function summaryOf({ settings, notes, source }: LoadedSettings) {
  return {
    ok: true,
    source,
    dataDir: settings.dataDir,
    databases: settings.databases.map((database) => ({
      name: database.name,
      hosts: database.hosts.map(({ host, port }) => `${host}:${port}`),
      database: database.database,
      slot: database.slot.name,
      publication: database.publication.name,
      ack: database.slot.ack,
    })),
    sinks: settings.sinks.map((sink) => ({
      name: sink.name,
      database: sink.database,
      type: sink.destination.type,
      format: sink.format,
      tables: describeSelection(sink.selection),
      actions: sink.actions,
    })),
    notes,
  };
}

function printSummary(loaded: LoadedSettings, ports: CliPorts): void {
  const paint = painterFor(ports.stdout, ports.env);
  const { source, databases, sinks, notes } = summaryOf(loaded);
  writeLine(ports.stdout, `${paint('green', 'ok')}  ${source}`);
  for (const { name, hosts, database, slot, publication, ack } of databases) {
    writeLine(
      ports.stdout,
      `  database ${name}: ${database} at ${hosts.join(', ')}, slot ${slot}, publication ${publication}, ack ${ack}`,
    );
  }
  for (const { name, database, type, format, tables, actions } of sinks) {
    writeLine(
      ports.stdout,
      `  sink ${name}: ${database} → ${type}, ${tables}, ${actions.join('/')}, format ${format}`,
    );
  }
  for (const note of notes) writeLine(ports.stdout, `  ${paint('yellow', 'note')}  ${note}`);
}

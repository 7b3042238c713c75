// `tailrace check`: is the configuration valid? All faults at once, without connecting to anything but, where that is asked for, to the
// databases: are there the tables and columns that it names?
import type { LoadedSettings } from '../config/load.ts';
import { describeSelection } from '../core/selection.ts';
import { inspectFilters } from '../pipeline/intake/where-check.ts';
import { sinkNamesOf } from '../pipeline/source/wanted-names.ts';
import type { Finding } from '../postgres/preflight/finding.ts';
import { inspectNames } from '../postgres/preflight/wanted.ts';
import { loadConfiguration } from './configuration.ts';
import { EXIT, painterFor, writeJson, writeLine, type CliPorts } from './ports.ts';

export type CheckOptions = {
  readonly config?: string;
  readonly json?: boolean;
  /** Compare its names with the databases. */
  readonly database?: boolean;
};

export async function check(options: CheckOptions, ports: CliPorts): Promise<number> {
  const loaded = await loadConfiguration(options, ports);
  const names = options.database === true ? await wrongNames(loaded) : [];
  if (names.length > 0) return sayNames(names, options, ports);
  if (options.json === true) writeJson(ports.stdout, summaryOf(loaded), 2);
  else printSummary(loaded, ports);
  return EXIT.ok;
}

type WrongName = Pick<Finding, 'code' | 'title' | 'detail' | 'cure'> & { readonly database: string };

/** What the configuration names and the databases do not have. Rejects where one cannot be asked. */
async function wrongNames({ settings }: LoadedSettings): Promise<readonly WrongName[]> {
  const names: WrongName[] = [];
  for (const database of settings.databases) {
    const found = [
      ...(await inspectNames(database, sinkNamesOf(settings, database))),
      ...(await inspectFilters(database, settings.sinks)).filter(({ ok }) => !ok),
    ];
    for (const { code, title, detail, cure } of found) {
      names.push({ database: database.name, code, title, detail, ...(cure !== undefined && { cure }) });
    }
  }
  return names;
}

function sayNames(names: readonly WrongName[], { json }: CheckOptions, ports: CliPorts): number {
  if (json === true) writeJson(ports.stdout, { ok: false, names }, 2);
  else {
    for (const { database, title, detail, cure } of names) {
      writeLine(ports.stderr, `database ${database}  ${title}: ${detail} — ${cure}`);
    }
  }
  return EXIT.usage;
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

// `tailrace check`: is the configuration valid? All faults at once, without connecting to anything.
import type { LoadedSettings } from '../config/load.ts';
import { describeSelection } from '../core/selection.ts';
import { loadConfiguration } from './configuration.ts';
import { EXIT, painterFor, writeJson, writeLine, type CliPorts } from './ports.ts';

export type CheckOptions = { readonly config?: string; readonly json?: boolean };

export async function check(options: CheckOptions, ports: CliPorts): Promise<number> {
  const loaded = await loadConfiguration(options, ports);
  if (options.json === true) writeJson(ports.stdout, summaryOf(loaded), 2);
  else printSummary(loaded, ports);
  return EXIT.ok;
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

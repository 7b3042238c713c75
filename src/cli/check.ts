// `tailrace check`: is the configuration valid? All faults at once, without connecting to anything but, where that is asked for, to the
// databases: are there the tables and columns that it names, and does the application's UPDATE work on them?
import type { LoadedSettings } from '../config/load.ts';
import { describeSelection } from '../core/selection.ts';
import { inspectColumnRules } from '../pipeline/intake/columns/inspection.ts';
import { inspectFilters } from '../pipeline/intake/where-server/inspection.ts';
import { inspectRoutes } from '../pipeline/intake/route-identity.ts';
import { sinkNamesOf } from '../pipeline/source/wanted-names.ts';
import type { Finding } from '../postgres/preflight/finding.ts';
import { inspectDatabase } from '../postgres/preflight/wanted.ts';
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

type Said = Pick<Finding, 'code' | 'title' | 'detail' | 'cure'> & { readonly database: string };

/** What the configuration names and the databases do not have is a fault; what is unfit there is not the configuration's. */
type Asked = { readonly names: readonly Said[]; readonly unfit: readonly Said[] };

/** Rejects where a database cannot be asked. */
async function askDatabases({ settings }: LoadedSettings): Promise<Asked> {
  const names: Said[] = [];
  const unfit: Said[] = [];
  for (const database of settings.databases) {
    const said = ({ code, title, detail, cure }: Finding): Said => ({
      database: database.name,
      code,
      title,
      detail,
      ...(cure !== undefined && { cure }),
    });
    const found = await inspectDatabase(database, sinkNamesOf(settings, database));
    const inspected = [
      ...(await inspectFilters(database, settings.sinks)),
      ...(await inspectColumnRules(database, settings.sinks)),
      ...(await inspectRoutes(database, settings.sinks)),
    ];
    const ofSeverity = (wanted: Finding['severity']): readonly Finding[] =>
      inspected.filter(({ ok, severity }) => !ok && severity === wanted);
    names.push(...[...found.names, ...ofSeverity('error')].map(said));
    unfit.push(...[...found.unfit, ...ofSeverity('warning')].map(said));
  }
  return { names, unfit };
}

function sayOf({ database, title, detail, cure }: Said, ports: CliPorts, kind?: string): void {
  const what = kind === undefined ? '' : `${painterFor(ports.stderr, ports.env)('yellow', kind)}  `;
  writeLine(ports.stderr, `${what}database ${database}  ${title}: ${detail} — ${cure}`);
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

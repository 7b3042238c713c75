// `tailrace types`: TypeScript and JSON Schema of the messages that each sink makes of each table, as the tables are now; with --check, what
// changed since they were written. It asks the databases, and needs no service.
import { resolve } from 'node:path';
import { TailraceError } from '../../core/errors.ts';
import { quoted } from '../../core/shell.ts';
import { envelopeOf } from '../../pipeline/sink/envelope.ts';
import { describeTables } from '../../pipeline/sink/described/tables.ts';
import { lookAtSink } from '../../pipeline/sink/looked-at.ts';
import type { ServiceSettings, SinkSettings } from '../../pipeline/settings.ts';
import { askOver } from '../../postgres/connection/asking.ts';
import { findServer } from '../../postgres/connection/standbys.ts';
import { createLogger } from '../../telemetry/logger.ts';
import { visible } from '../../telemetry/terminal-text.ts';
import { loadConfiguration } from '../configuration.ts';
import { databaseNamed, sinkNamed } from '../named.ts';
import { counted } from '../layout.ts';
import { EXIT, painterFor, usageError, writeJson, writeLine, type CliPorts } from '../ports.ts';
import { compareTypes, type Change } from './check.ts';
import { expectOwn, readTypes, writeTypes } from './directory.ts';
import { inOneText, layOut, type DescribedSink, type Layout } from './files.ts';
import { isOfNoTable } from './naming.ts';

export type TypesOptions = {
  readonly config?: string;
  readonly database?: string;
  readonly sink?: string;
  readonly out?: string;
  readonly check?: boolean;
  readonly json?: boolean;
};

export async function types(options: TypesOptions, ports: CliPorts): Promise<number> {
  const { out, check, json } = options;
  if (out === undefined && check === true)
    throw usageError('--check compares with files', 'name their directory with --out');
  if (out === undefined && json === true)
    throw usageError('--json says what was done with files', 'name their directory with --out');
  const { settings } = await loadConfiguration(options, ports);
  const described = await describeSinks(sinksOf(options, settings), settings, ports);
  const command = commandOf(options);
  if (out === undefined) {
    ports.stdout.write(inOneText(described, command));
    return EXIT.ok;
  }
  const directory = resolve(ports.cwd, out);
  const present = await readTypes(directory, command);
  const layout = layOut(described, command);
  if (check !== true || present.size === 0) await expectOwn(directory, present, layout);
  if (check !== true) {
    const done = await writeTypes(directory, present, layout);
    if (json === true) writeJson(ports.stdout, { ok: true, directory, ...done }, 2);
    else
      writeLine(
        ports.stdout,
        `${counted(tablesIn(layout), 'table')} of ${counted(described.length, 'sink')} in ${out}: ${counted(done.written.length, 'file')} written, ${done.removed.length} removed`,
      );
    return EXIT.ok;
  }
  if (present.size === 0) throw nothingWritten(out, command);
  const changes = compareTypes(present, layout);
  if (json === true)
    writeJson(ports.stdout, { ok: changes.length === 0, changes: changes.map(toDocument) }, 2);
  else print(changes, `${command} --out ${quoted(out)}`, ports);
  return changes.length === 0 ? EXIT.ok : EXIT.no;
}

function sinksOf({ database, sink }: TypesOptions, settings: ServiceSettings): readonly SinkSettings[] {
  if (sink !== undefined) return [sinkNamed(sink, settings)];
  if (database === undefined) return settings.sinks;
  const { name } = databaseNamed(database, settings);
  return settings.sinks.filter((each) => each.database === name);
}

const tablesIn = ({ tables }: Layout): number =>
  tables.filter(({ described }) => !isOfNoTable(described)).length;

/** Of a database's sinks over one connection. A sink without a table yet is left out, and named. */
async function describeSinks(
  sinks: readonly SinkSettings[],
  { databases }: ServiceSettings,
  ports: CliPorts,
): Promise<readonly DescribedSink[]> {
  const described: DescribedSink[] = [];
  for (const database of databases) {
    const own = sinks.filter((sink) => sink.database === database.name);
    if (own.length === 0) continue;
    const found = await askOver(await findServer(database), database, async (client) => {
      const each: DescribedSink[] = [];
      for (const settings of own) {
        const sink = await lookAtSink(
          settings,
          createLogger({ level: 'error', destination: ports.stderr, env: ports.env }),
        );
        try {
          const envelope = envelopeOf(settings, database, database.hosts[0]?.host ?? '');
          const publication = database.publication.name;
          const tables = await describeTables(client, { settings, envelope, sink, publication });
          each.push({ database: database.name, name: settings.name, tables });
        } finally {
          await sink.close();
        }
      }
      return each;
    });
    described.push(...found);
  }
  for (const { name } of described.filter(({ tables }) => tables.length === 0))
    writeLine(ports.stderr, `sink ${name} takes no table that its database has now: it has no types`);
  return described.filter(({ tables }) => tables.length > 0);
}

/** Without the directory, which differs from place to place. */
const commandOf = ({ database, sink }: TypesOptions): string =>
  [
    'tailrace types',
    ...(database === undefined ? [] : [`--database ${quoted(database)}`]),
    ...(sink === undefined ? [] : [`--sink ${quoted(sink)}`]),
  ].join(' ');

const nothingWritten = (out: string, command: string): TailraceError =>
  new TailraceError(`there are no types in ${out} to compare with`, {
    code: 'TYPES_MISSING',
    kind: 'fatal',
    hint: `\`${command} --out ${quoted(out)}\` writes them`,
  });

const toDocument = ({ title, member, says, breaks, actions }: Change) => ({
  of: title,
  member: member === '' ? null : member,
  change: says,
  breaks,
  actions,
});

function print(changes: readonly Change[], command: string, ports: CliPorts): void {
  const paint = painterFor(ports.stdout, ports.env);
  if (changes.length === 0) {
    writeLine(ports.stdout, `${paint('green', 'ok')}  the types are those of the tables as they are now`);
    return;
  }
  for (const [title, all] of Map.groupBy(changes, (change) => change.title)) {
    const whole = all.filter(({ member, actions }) => member === '' && actions.length === 0);
    writeLine(ports.stdout, paint('bold', visible(title)));
    for (const change of all)
      writeLine(ports.stdout, `  ${mark(change)}  ${visible(textOf(change, whole.length > 0))}`);
  }
  const breaking = changes.filter(({ breaks }) => breaks).length;
  writeLine(
    ports.stdout,
    `${breaking} of ${counted(changes.length, 'change')} can break who reads these messages; \`${command}\` takes them over`,
  );

  function mark({ breaks }: Change): string {
    return breaks ? paint('red', 'breaks') : paint('green', 'fine  ');
  }
}

function textOf({ member, says, actions }: Change, isWhole: boolean): string {
  if (isWhole) return says;
  if (member === '') return `${actions.join(', ')}: ${says}`;
  return `\`${member}\` ${says} (${actions.join(', ')})`;
}

// `tailrace doctor`: connects to everything and lists what is missing, each with the SQL or policy that cures it.
import { describeError, TailraceError } from '../core/errors.ts';
import type { SinkNames } from '../core/wanted-names.ts';
import { inspectMessages } from '../pipeline/intake/columns/inspection.ts';
import { inspectFilters } from '../pipeline/intake/where-server/inspection.ts';
import { inspectRoutes } from '../pipeline/intake/route-identity.ts';
import { inspectInitialBackfills } from '../pipeline/service/initial-backfill-findings.ts';
import type { SinkSettings } from '../pipeline/settings.ts';
import { lookAtSink } from '../pipeline/sink/looked-at.ts';
import { sinkNamesOf } from '../pipeline/source/wanted-names.ts';
import { failed, isNote, passed, type Finding } from '../postgres/preflight/finding.ts';
import { inspectDatabase } from '../postgres/preflight/preflight.ts';
import type { DatabaseSettings } from '../postgres/settings.ts';
import { sinkDefinition } from '../sinks/registry.ts';
import { createLogger } from '../telemetry/logger.ts';
import { redactUrlPasswords } from '../telemetry/redaction.ts';
import { visibleLines } from '../telemetry/terminal-text.ts';
import { loadConfiguration } from './configuration.ts';
import { EXIT, painterFor, writeJson, writeLine, type CliPorts } from './ports.ts';

export type DoctorOptions = { readonly config?: string; readonly json?: boolean };

type Report = { readonly subject: string; readonly findings: readonly Finding[] };

const CHECK_TIMEOUT_MS = 30_000;

export async function doctor(options: DoctorOptions, ports: CliPorts): Promise<number> {
  const { settings, notes } = await loadConfiguration(options, ports);
  const reports: Report[] = [];
  for (const database of settings.databases) {
    reports.push({
      subject: `database ${database.name}`,
      findings: [
        ...(await examineDatabase(database, sinkNamesOf(settings, database))),
        ...(await examined('filters', inspectFilters(database, settings.sinks))),
        ...(await examined('messages', inspectMessages(database, settings.sinks))),
        ...(await examined('routes', inspectRoutes(database, settings.sinks))),
        ...(await examined('initial backfills', inspectInitialBackfills(database, settings.sinks))),
      ],
    });
  }
  for (const sink of settings.sinks) {
    const finding = await examineSink(sink, settings.api.listen !== 'off', ports);
    reports.push({ subject: `sink ${sink.name}`, findings: [finding] });
  }
  const ok = !reports.some(({ findings }) => findings.some(isFault));
  if (options.json === true) {
    writeJson(ports.stdout, { ok, reports, notes }, 2);
  } else {
    print(reports, notes, ports);
  }
  return ok ? EXIT.ok : EXIT.no;
}

/** Warnings too: a table that is left out sends nothing. */
const isFault = (finding: Finding): boolean => !finding.ok && !isNote(finding);

async function examineDatabase(
  database: DatabaseSettings,
  sinks: readonly SinkNames[],
): Promise<readonly Finding[]> {
  try {
    return await inspectDatabase(database, sinks);
  } catch (error) {
    return [findingOf('connection', error)];
  }
}

/** A database that cannot be asked has been told already. */
const examined = (title: string, inspected: Promise<readonly Finding[]>): Promise<readonly Finding[]> =>
  inspected.catch((error: unknown) => (error instanceof TailraceError ? [] : [findingOf(title, error)]));

async function examineSink(
  settings: SinkSettings,
  hasApi: boolean,
  { stderr, env }: CliPorts,
): Promise<Finding> {
  const { type } = settings.destination;
  const toBeMade: string[] = [];
  try {
    const sink = await lookAtSink(settings, createLogger({ level: 'error', destination: stderr, env }));
    try {
      const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
      await sink.check(signal, { create: false, toBeMade: (what) => toBeMade.push(what) });
    } finally {
      await sink.close();
    }
    if (toBeMade.length > 0) return passed(type, toBeMade.join('; '));
    if (sinkDefinition(type)?.isPulled !== true) return passed(type, 'reachable and allowed');
    return hasApi ? passed(type, 'workers fetch from the API') : withoutApi(type);
  } catch (error) {
    return findingOf(type, error);
  }
}

const withoutApi = (title: string): Finding =>
  failed({
    code: 'API_OFF',
    title,
    detail: 'no worker can fetch its messages: api.listen is off',
    cure: 'give api.listen an address, such as 127.0.0.1:7376',
  });

function findingOf(title: string, error: unknown): Finding {
  const known = error instanceof TailraceError;
  return failed({
    code: known ? error.code : 'UNEXPECTED',
    title,
    detail: redactUrlPasswords(known ? error.message : describeError(error)),
    ...(known && error.hint !== undefined && { cure: error.hint }),
  });
}

function print(reports: readonly Report[], notes: readonly string[], ports: CliPorts): void {
  const paint = painterFor(ports.stdout, ports.env);
  for (const { subject, findings } of reports) {
    writeLine(ports.stdout, paint('bold', subject));
    for (const finding of findings) {
      const { ok, title, detail, cure } = finding;
      const mark = ok ? paint('green', '✓') : isFault(finding) ? paint('red', '✗') : paint('yellow', '!');
      const text = detail === '' ? title : `${title}: ${detail}`;
      ports.stdout.write(`  ${mark} ${visibleLines(text, '      ')}\n`);
      if (cure !== undefined && !ok) ports.stdout.write(`    cure: ${visibleLines(cure, '      ')}\n`);
    }
  }
  for (const note of notes) writeLine(ports.stdout, `${paint('yellow', '!')} ${note}`);
}

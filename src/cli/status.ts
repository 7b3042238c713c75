// `tailrace status`: what a running service says of itself, read over HTTP; `--check` for probes.
import { describeError, TailraceError } from '../core/errors.ts';
import { counted } from './layout.ts';
import { errorDocument, EXIT, painterFor, writeJson, writeLine, type CliPorts } from './ports.ts';
import { showOrphans } from './orphans.ts';
import { connectToService, UNREACHABLE, type ServiceClient, type ServiceOptions } from './service-client.ts';
import { isWhole, moreWithToken, readHealth, type AnyDocument } from './status-document.ts';
import { paintHealth, parts, renderStatus, troubles } from './status-table.ts';
import { watchStatus, type WatchOptions } from './status-watch.ts';

/** The least that `--check` complains of. */
export type CheckLevel = 'degraded' | 'halted';

export type StatusOptions = ServiceOptions &
  WatchOptions & { readonly check?: CheckLevel; readonly watch?: boolean; readonly orphans?: boolean };

/**
 * As monitoring plugins end (OK, WARNING, CRITICAL, UNKNOWN). A service that does not answer is as one that is halted.
 * https://nagios-plugins.org/doc/guidelines.html#AEN78
 */
const CHECK_EXIT = { healthy: 0, degraded: 1, halted: 2, unknown: 3 } as const;

/** A probe must answer before whoever asked has given up. */
const CHECK_TIMEOUT_MS = 8_000;

export async function status(options: StatusOptions, ports: CliPorts): Promise<number> {
  if (options.orphans === true) return showOrphans(await connectToService(options, ports), options, ports);
  const service = await connectToService(options, ports, ['api', 'metrics']);
  if (options.check !== undefined) return check(service, options.check, options, ports);
  if (options.watch === true) return watchStatus(service, options, ports);
  const document = await readHealth(service);
  if (options.json === true) writeJson(ports.stdout, document, 2);
  else if (isWhole(document)) for (const line of renderStatus(document, ports)) writeLine(ports.stdout, line);
  else {
    writeLine(ports.stdout, document.status);
    writeLine(ports.stderr, moreWithToken(service));
  }
  return document.status === 'halted' ? EXIT.no : EXIT.ok;
}

async function check(
  service: ServiceClient,
  level: CheckLevel,
  { json }: StatusOptions,
  ports: CliPorts,
): Promise<number> {
  let document: AnyDocument;
  try {
    document = await readHealth(service, { timeoutMs: CHECK_TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error;
    if (json === true) writeJson(ports.stdout, errorDocument(error), 2);
    else writeLine(ports.stdout, `tailrace unknown: ${describeError(error)}`);
    return error.code === UNREACHABLE ? CHECK_EXIT.halted : CHECK_EXIT.unknown;
  }
  if (json === true) writeJson(ports.stdout, document, 2);
  else for (const line of verdict(document, ports)) writeLine(ports.stdout, line);
  return document.status === 'degraded' && level === 'halted' ? EXIT.ok : CHECK_EXIT[document.status];
}

/** One line that says it all, for whoever shows only that; then each trouble with its cure. */
function verdict(document: AnyDocument, ports: CliPorts): string[] {
  const paint = painterFor(ports.stdout, ports.env);
  const word = `tailrace ${paintHealth(paint, document.status)}`;
  const { databases, sinks } = document;
  const whole = `${counted(databases.length, 'database')}, ${counted(sinks.length, 'sink')}`;
  if (!isWhole(document)) {
    const unwell = [...databases, ...sinks].filter(({ status }) => status !== 'healthy').length;
    return [
      unwell === 0
        ? `${word}: ${whole}`
        : `${word}: ${unwell} of ${databases.length + sinks.length} (${whole}); a token shows which`,
    ];
  }
  const all = parts(document).flatMap(({ who, troubles }) => troubles.map((it) => ({ who, ...it })));
  const worst = all.find(({ health }) => health === document.status);
  if (worst === undefined) return [`${word}: ${whole}`];
  const more = all.length === 1 ? '' : ` (and ${all.length - 1} more)`;
  return [`${word}: ${worst.who}: ${worst.reason}${more}`, ...troubles(document, paint)];
}

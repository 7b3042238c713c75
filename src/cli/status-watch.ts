// `tailrace status --watch`: the status again and again, over the restarts of its service, until interrupted.
import { setTimeout as sleep } from 'node:timers/promises';
import { wallTime } from '../core/clock.ts';
import { describeError, TailraceError } from '../core/errors.ts';
import { widthOf, wrap } from './layout.ts';
import { abortWhenUnwanted, errorDocument, EXIT, painterFor, writeLine, type CliPorts } from './ports.ts';
import { screenOn } from './screen.ts';
import { NOT_TAILRACE, UNREACHABLE, type ServiceClient } from './service-client.ts';
import { isWhole, moreWithToken, readHealth } from './status-document.ts';
import { renderStatus } from './status-table.ts';

/** `interval`: seconds between two looks. */
export type WatchOptions = { readonly json?: boolean; readonly interval?: number };

const DEFAULT_INTERVAL_SECONDS = 2;

/** What a service answers with, or somebody in front of it, while it starts anew. */
const PASSING: ReadonlySet<string> = new Set([UNREACHABLE, NOT_TAILRACE]);

export async function watchStatus(
  service: ServiceClient,
  options: WatchOptions,
  ports: CliPorts,
): Promise<number> {
  using interruption = abortWhenUnwanted(ports);
  const { signal } = interruption;
  const seconds = options.interval ?? DEFAULT_INTERVAL_SECONDS;
  using screen = screenOn(ports);
  while (!signal.aborted) {
    const frame = await look(service, { ...options, signal }, ports);
    if (signal.aborted) break;
    if (options.json === true) for (const line of frame) writeLine(ports.stdout, line);
    else screen.show([...heading(seconds, ports), '', ...frame]);
    await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
  }
  return EXIT.ok;
}

/** One look as lines. Rejects with what does not pass by itself: a token that is refused. */
async function look(
  service: ServiceClient,
  { json, signal }: WatchOptions & { readonly signal: AbortSignal },
  ports: CliPorts,
): Promise<string[]> {
  try {
    const document = await readHealth(service, { signal });
    if (json === true) return [JSON.stringify(document)];
    return isWhole(document) ? renderStatus(document, ports) : [document.status, moreWithToken(service)];
  } catch (error) {
    if (signal.aborted) return [];
    if (!(error instanceof TailraceError) || !PASSING.has(error.code)) throw error;
    if (json === true) return [JSON.stringify(errorDocument(error))];
    const label = painterFor(ports.stdout, ports.env)('red', 'no status:');
    return wrap(`${label} ${describeError(error)}`, widthOf(ports.stdout), '  ');
  }
}

function heading(seconds: number, { stdout, env }: CliPorts): string[] {
  const paint = painterFor(stdout, env);
  const at = wallTime().toTimeString().slice(0, 8);
  return wrap(`${at}  every ${seconds} s, until Ctrl-C`, widthOf(stdout)).map((line) => paint('dim', line));
}

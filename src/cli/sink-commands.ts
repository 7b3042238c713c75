// `tailrace pause | resume | disable`: what a running service's sink shall do.
import type { WantedStatus } from '../core/status.ts';
import { EXIT, writeLine, type CliPorts } from './ports.ts';
import { connectToService, type ServiceOptions } from './service-client.ts';

const DONE: Readonly<Record<WantedStatus, string>> = {
  active: 'runs',
  paused: 'is paused: it holds its place in the log',
  disabled: 'is disabled: it holds nothing',
};

/** What is in flight is waited for: longer than any sensible timeout of a destination. */
const SETTLE_TIMEOUT_MS = 10 * 60_000;

export async function setStatus(
  sink: string,
  status: WantedStatus,
  options: ServiceOptions & { readonly now?: boolean },
  ports: CliPorts,
): Promise<number> {
  const service = await connectToService(options, ports);
  const body = options.now === true ? { status, now: true } : { status };
  const answer = await service.ask(sinkPath(sink), { method: 'PATCH', body, timeoutMs: SETTLE_TIMEOUT_MS });
  if (options.json === true) writeLine(ports.stdout, JSON.stringify(answer));
  else writeLine(ports.stdout, `${nameOf(answer)} ${DONE[status]}`);
  return EXIT.ok;
}

/** `users` or `shop/users`. */
export const sinkPath = (sink: string): string => `/api/sinks/${encodeURIComponent(sink)}`;

/** `shop/users`, of an answer that names a sink. */
export const nameOf = (answer: Readonly<Record<string, unknown>>): string =>
  `${String(answer['database'])}/${String(answer['name'])}`;

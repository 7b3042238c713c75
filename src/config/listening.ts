// Where the HTTP side listens: what the file writes, what the environment says, and Sequin's variables.
import { isIP } from 'node:net';
import type { ListenSettings } from '../pipeline/settings.ts';
import type { LoadContext } from './context.ts';
import type { Fault } from './file/faults.ts';
import { isLoopback, parseHostPort } from './units.ts';

type Listening = {
  /** What the file writes; undefined: nothing. */
  readonly written: ListenSettings | undefined;
  readonly fallback: ListenSettings;
};

type Reader = { readonly context: LoadContext; readonly faults: Fault[]; readonly notes: string[] };

const EVERY_INTERFACE = '0.0.0.0';
const LOOPBACK = '127.0.0.1';

/** The file wins over TAILRACE_API_LISTEN, that over SERVER_PORT and SERVER_HOST. Beyond loopback a token is demanded. */
export function apiListen(
  { written, fallback }: Listening,
  reader: Reader & { readonly hasToken: boolean; readonly faultHere: (message: string) => Fault },
): ListenSettings {
  const listen = written ?? listenVariable('TAILRACE_API_LISTEN', reader) ?? asInSequin(fallback, reader);
  if (listen !== 'off' && !isLoopback(listen.host) && !reader.hasToken) {
    const message = `the API may not listen on ${listen.host}, beyond loopback, without a token: add api.tokens (["\${TAILRACE_TOKEN}"]), or listen on 127.0.0.1`;
    reader.faults.push(
      written === undefined
        ? { file: 'environment', path: 'TAILRACE_API_LISTEN', message }
        : reader.faultHere(message),
    );
  }
  return listen;
}

/** The file wins over TAILRACE_METRICS_LISTEN (which our image sets); of these two the port is SEQUIN_METRICS_PORT's. */
export function metricsListen({ written, fallback }: Listening, reader: Reader): ListenSettings {
  if (written !== undefined) return written;
  const port = portVariable('SEQUIN_METRICS_PORT', reader);
  const variable = listenVariable('TAILRACE_METRICS_LISTEN', reader);
  if (variable !== undefined)
    return variable === 'off' || port === undefined ? variable : { ...variable, port };
  if (fallback === 'off') return fallback;
  if (port === undefined) return { ...fallback, explicit: false };
  return { host: EVERY_INTERFACE, port, explicit: true };
}

/**
 * In Sequin's containers the port is everybody's, and so it is here where tokens guard it. SERVER_HOST is an address here;
 * there it may be the name under which people come, which is none to listen on.
 */
function asInSequin(
  fallback: ListenSettings,
  reader: Reader & { readonly hasToken: boolean },
): ListenSettings {
  if (fallback === 'off') return fallback;
  const port = portVariable('SERVER_PORT', reader);
  const written = reader.context.env['SERVER_HOST'] || undefined;
  const address = written !== undefined && (isIP(written) > 0 || isLoopback(written)) ? written : undefined;
  if (written !== undefined && address === undefined) {
    reader.notes.push(`SERVER_HOST is passed over: "${written}" is no address to listen on`);
  }
  if (port === undefined && address === undefined) return { ...fallback, explicit: false };
  const wanted = address ?? EVERY_INTERFACE;
  if (!reader.hasToken && !isLoopback(wanted)) {
    reader.notes.push(
      `the API listens on ${LOOPBACK} only: on all interfaces, as SERVER_PORT has it in Sequin, it needs a token (api.tokens)`,
    );
  }
  const host = reader.hasToken || isLoopback(wanted) ? wanted : LOOPBACK;
  return { host, port: port ?? fallback.port, explicit: true };
}

function listenVariable(name: string, { context, faults }: Reader): ListenSettings | undefined {
  const text = context.env[name];
  if (text === undefined || text === '') return undefined;
  if (text === 'off') return 'off';
  const address = parseHostPort(text, -1);
  if (address !== undefined && address.port !== -1) return { ...address, explicit: true };
  faults.push({
    file: 'environment',
    path: name,
    message: 'an address such as 0.0.0.0:8376, or off, is expected',
  });
  return undefined;
}

function portVariable(name: string, { context, faults }: Reader): number | undefined {
  const text = context.env[name];
  if (text === undefined || text === '') return undefined;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return port;
  faults.push({ file: 'environment', path: name, message: 'a port from 0 to 65535 is expected' });
  return undefined;
}

// What a configuration reader is given besides the configuration: environment, directories, file access.
import { isAbsolute, join, resolve } from 'node:path';
import type { ListenSettings } from '../pipeline/settings.ts';
import type { Fault } from './file/faults.ts';
import type { ReadFile } from './file/file-access.ts';
import { isLoopback, parseHostPort } from './units.ts';
import type { Variables } from './file/variables.ts';

export type LoadContext = {
  readonly env: Variables;
  readonly cwd: string;
  /** `--data-dir`, as it was written. */
  readonly dataDir: string | undefined;
  readonly readFile: ReadFile;
};

/** `--data-dir`, else TAILRACE_DATA_DIR, else ./tailrace-data. Absolute. */
export function dataDirectory(context: LoadContext): string {
  const written = context.dataDir ?? (context.env['TAILRACE_DATA_DIR'] || 'tailrace-data');
  return resolve(context.cwd, written);
}

export const stateFile = (url: string, dataDir: string): string => {
  const file = url.slice('sqlite:'.length);
  return isAbsolute(file) ? file : join(dataDir, file);
};

type Listening = {
  /** What the file writes; undefined: nothing. */
  readonly written: ListenSettings | undefined;
  readonly fallback: ListenSettings;
};

/** The file wins over TAILRACE_API_LISTEN, that over SERVER_PORT. Beyond loopback a token is demanded. */
export function apiListen(
  { written, fallback }: Listening,
  options: {
    context: LoadContext;
    hasToken: boolean;
    faults: Fault[];
    faultHere: (message: string) => Fault;
  },
): ListenSettings {
  const { context, faults } = options;
  const fromEnvironment = listenVariable('TAILRACE_API_LISTEN', context, faults);
  let listen = written ?? fromEnvironment ?? withServerPort(fallback, context, faults);
  if (listen !== 'off' && written === undefined && fromEnvironment === undefined) {
    listen = { ...listen, explicit: context.env['SERVER_PORT'] !== undefined };
  }
  if (listen !== 'off' && !isLoopback(listen.host) && !options.hasToken) {
    const message = `the API may not listen on ${listen.host}, beyond loopback, without a token: add api.tokens (["\${TAILRACE_TOKEN}"]), or listen on 127.0.0.1`;
    faults.push(
      written === undefined
        ? { file: 'environment', path: 'TAILRACE_API_LISTEN', message }
        : options.faultHere(message),
    );
  }
  return listen;
}

/** The file wins over TAILRACE_METRICS_LISTEN. */
export function metricsListen(
  { written, fallback }: Listening,
  context: LoadContext,
  faults: Fault[],
): ListenSettings {
  const listen = written ?? listenVariable('TAILRACE_METRICS_LISTEN', context, faults);
  return listen ?? (fallback === 'off' ? fallback : { ...fallback, explicit: false });
}

function listenVariable(name: string, context: LoadContext, faults: Fault[]): ListenSettings | undefined {
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

function withServerPort(fallback: ListenSettings, context: LoadContext, faults: Fault[]): ListenSettings {
  const text = context.env['SERVER_PORT'];
  if (fallback === 'off' || text === undefined || text === '') return fallback;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port <= 65_535) return { ...fallback, port };
  faults.push({ file: 'environment', path: 'SERVER_PORT', message: 'a port from 0 to 65535 is expected' });
  return fallback;
}

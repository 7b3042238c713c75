// `tailrace status`: what a running service says of itself, read over HTTP.
import { ConfigError } from '../config/faults.ts';
import { loadSettings } from '../config/load.ts';
import { TailraceError } from '../core/errors.ts';
import type { HealthDocument, PublicHealthDocument } from '../pipeline/health.ts';
import type { ListenSettings, ServiceSettings } from '../pipeline/settings.ts';
import { EXIT, writeLine, type CliPorts } from './ports.ts';
import { renderStatus } from './status-table.ts';

export type StatusOptions = { readonly config?: string; readonly url?: URL; readonly json?: boolean };

const DEFAULT_URL = 'http://127.0.0.1:7376';
const REQUEST_TIMEOUT_MS = 10_000;

export async function status(options: StatusOptions, ports: CliPorts): Promise<number> {
  const settings = await settingsIfAny(options, ports);
  const url = options.url ?? new URL(addressOf(settings));
  const token = (ports.env['TAILRACE_TOKEN'] ?? '') || settings?.api.tokens[0];
  const document = await fetchHealth(url, token);
  if (options.json === true) writeLine(ports.stdout, JSON.stringify(document, undefined, 2));
  else if (isWhole(document)) ports.stdout.write(renderStatus(document, ports));
  else {
    writeLine(ports.stdout, document.status);
    writeLine(ports.stderr, `${url.origin} shows more with a token: set TAILRACE_TOKEN`);
  }
  return document.status === 'halted' ? EXIT.no : EXIT.ok;
}

/** The configuration only helps to find the service: with `--url`, or without a file, none is needed. */
async function settingsIfAny(options: StatusOptions, ports: CliPorts): Promise<ServiceSettings | undefined> {
  try {
    const input = { env: ports.env, cwd: ports.cwd };
    const { config } = options;
    return (await loadSettings(config === undefined ? input : { ...input, configFile: config })).settings;
  } catch (error) {
    if (error instanceof ConfigError && options.config === undefined) return undefined;
    throw error;
  }
}

function addressOf(settings: ServiceSettings | undefined): string {
  if (settings === undefined) return DEFAULT_URL;
  const url = urlOf(settings.api.listen) ?? urlOf(settings.metrics.listen);
  if (url !== undefined) return url;
  throw new TailraceError('the configuration gives the service no port that is known beforehand', {
    code: 'STATUS_ADDRESS_UNKNOWN',
    kind: 'fatal',
    hint: 'pass --url http://host:port (the service logs the port when it starts)',
  });
}

function urlOf(listen: ListenSettings): string | undefined {
  if (listen === 'off' || listen.port === 0) return undefined;
  // "Every address" is none to connect to.
  const host = listen.host === '0.0.0.0' ? '127.0.0.1' : listen.host === '::' ? '::1' : listen.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${listen.port}`;
}

async function fetchHealth(
  url: URL,
  token: string | undefined,
): Promise<HealthDocument | PublicHealthDocument> {
  const fail = (problem: string, code: string, hint: string, cause?: unknown): TailraceError =>
    new TailraceError(`${url.origin}: ${problem}`, { code, kind: 'fatal', hint, cause });
  let response: Response;
  let body: string;
  try {
    response = await fetch(new URL('/health', url), {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    body = await response.text();
  } catch (cause) {
    throw fail(
      'no service answers',
      'UNREACHABLE',
      'is "tailrace run" running there? Else pass --url',
      cause,
    );
  }
  if (response.status === 401) throw fail('the token was refused', 'TOKEN_REFUSED', 'set TAILRACE_TOKEN');
  const document = parseJson(body);
  if (!isHealth(document)) {
    throw fail(`answered ${response.status}, not a status`, 'NOT_TAILRACE', 'is that address Tailrace?');
  }
  return document;
}

const isHealth = (value: unknown): value is HealthDocument | PublicHealthDocument =>
  typeof value === 'object' &&
  value !== null &&
  'status' in value &&
  'databases' in value &&
  'sinks' in value;

const isWhole = (document: HealthDocument | PublicHealthDocument): document is HealthDocument =>
  'startedAt' in document;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

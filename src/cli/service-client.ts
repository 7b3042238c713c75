// Finds the running service and asks it over HTTP, for the commands that talk to one.
import { ConfigError } from '../config/file/faults.ts';
import { TailraceError } from '../core/errors.ts';
import type { ListenSettings, ServiceSettings } from '../pipeline/settings.ts';
import { faultOfText } from '../sinks/http/printable.ts';
import { loadConfiguration } from './configuration.ts';
import { USAGE, type CliPorts } from './ports.ts';
import { send } from './send.ts';

/** Options of every command that talks to a running service. */
export type ServiceOptions = { readonly config?: string; readonly url?: URL; readonly json?: boolean };

export type ServiceClient = {
  readonly url: URL;
  /** The status and the body of an answer. Rejects when nobody answers. */
  fetch(path: string, request?: ServiceRequest): Promise<{ readonly status: number; readonly body: unknown }>;
  /** The body of a good answer; rejects with what the service says otherwise. */
  ask(path: string, request?: ServiceRequest): Promise<Readonly<Record<string, unknown>>>;
};

export type ServiceRequest = {
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly body?: object;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
};

/** Nobody answers; somebody else does. */
export const UNREACHABLE = 'UNREACHABLE';
export const NOT_TAILRACE = 'NOT_TAILRACE';

const DEFAULT_URL = 'http://127.0.0.1:7376';
const REQUEST_TIMEOUT_MS = 30_000;

/** `from`: where to look first. The metrics listener shows how the service stands, and nothing else. */
export async function connectToService(
  options: ServiceOptions,
  ports: CliPorts,
  from: readonly ('api' | 'metrics')[] = ['api'],
): Promise<ServiceClient> {
  const settings = await settingsIfAny(options, ports);
  const url = options.url ?? new URL(addressOf(settings, from));
  const token = tokenOf(ports.env) ?? settings?.api.tokens[0];
  const fetchJson: ServiceClient['fetch'] = async (path, request = { method: 'GET' }) => {
    try {
      const { status, text } = await send(new URL(path, url), {
        method: request.method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        signal: AbortSignal.any([
          AbortSignal.timeout(request.timeoutMs ?? REQUEST_TIMEOUT_MS),
          ...(request.signal === undefined ? [] : [request.signal]),
        ]),
      });
      return { status, body: parseJson(text) };
    } catch (cause) {
      throw failure(url, 'no service answers', {
        code: UNREACHABLE,
        hint: 'is "tailrace run" running there? Else pass --url',
        cause,
      });
    }
  };
  const ask: ServiceClient['ask'] = async (path, request) => {
    const { status, body } = await fetchJson(path, request);
    if (status === 200 && isRecord(body)) return body;
    throw refusal(url, status, body);
  };
  return { url, fetch: fetchJson, ask };
}

export const databasePath = (name: string): string => `/api/databases/${encodeURIComponent(name)}`;

/** Of one page of a list. */
const PAGE = 1000;

/** A list whole, `key` being its name in the answers. */
export async function askAll<Item>(service: ServiceClient, path: string, key: string): Promise<Item[]> {
  const items: Item[] = [];
  for (let after: number | null = 0; after !== null;) {
    const page: Readonly<Record<string, unknown>> = await service.ask(`${path}?limit=${PAGE}&after=${after}`);
    items.push(...(page[key] as Item[]));
    after = page['next'] as number | null;
  }
  return items;
}

/** What cannot go into a header would look as if nobody answered. */
function tokenOf(env: CliPorts['env']): string | undefined {
  const token = env['TAILRACE_TOKEN'] ?? '';
  if (token === '') return undefined;
  const fault = faultOfText(token);
  if (fault === undefined) return token;
  throw new TailraceError(`TAILRACE_TOKEN is no token: ${fault}`, {
    code: USAGE,
    kind: 'fatal',
    hint: 'give it as api.tokens has it',
  });
}

/** What a service's refusal says, with its own cure. */
export function refusal(url: URL, status: number, body: unknown): TailraceError {
  if (status === 401) {
    return failure(url, 'the token was refused', { code: 'TOKEN_REFUSED', hint: 'set TAILRACE_TOKEN' });
  }
  if (!isRecord(body) || typeof body['error'] !== 'string' || typeof body['code'] !== 'string') {
    return failure(url, `answered ${status}, not a status`, {
      code: NOT_TAILRACE,
      hint: 'is that address Tailrace?',
    });
  }
  return new TailraceError(body['error'], {
    // What was written on the command line is wrong: exit code 2.
    code: body['code'] === 'REQUEST_INVALID' ? USAGE : body['code'],
    kind: 'fatal',
    hint: typeof body['hint'] === 'string' ? body['hint'] : undefined,
  });
}

const failure = (
  url: URL,
  what: string,
  { code, hint, cause }: { code: string; hint: string; cause?: unknown },
): TailraceError => new TailraceError(`${url.origin}: ${what}`, { code, kind: 'fatal', hint, cause });

/** The configuration only helps to find the service: with `--url`, or without a file, none is needed. */
async function settingsIfAny(options: ServiceOptions, ports: CliPorts): Promise<ServiceSettings | undefined> {
  try {
    return (await loadConfiguration(options, ports)).settings;
  } catch (error) {
    if (error instanceof ConfigError && options.config === undefined) return undefined;
    throw error;
  }
}

function addressOf(settings: ServiceSettings | undefined, from: readonly ('api' | 'metrics')[]): string {
  if (settings === undefined) return DEFAULT_URL;
  for (const room of from) {
    const url = urlOf(settings[room].listen);
    if (url !== undefined) return url;
  }
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

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

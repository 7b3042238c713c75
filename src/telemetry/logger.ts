// The service's logger: JSON lines for machines, one short line for a person at a terminal, no secrets in either.
import { pino, type Logger } from 'pino';
import { wantsColor, type ColorEnvironment } from './color.ts';
import { redactUrlPasswords } from './redaction.ts';
import { formatLine } from './terminal-line.ts';
import { terminalOutput, type Output } from './terminal-text.ts';

export type LogDestination = Output;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** `auto`: for people on a terminal, else JSON. `datadog_json`: JSON with the names that Datadog looks for. */
export type LogFormat = 'auto' | 'console' | 'json' | 'datadog_json';

export type LoggerOptions = {
  readonly level: LogLevel;
  readonly destination: LogDestination;
  /** Default: `auto`. */
  readonly format?: LogFormat;
  /** Whether lines for people have colours; without it that is for the destination to say. */
  readonly env?: ColorEnvironment;
};

/** Names of fields whose value is a secret wherever they stand. */
const SECRET_KEYS: readonly string[] = [
  'password',
  'token',
  'tokens',
  'authorization',
  'secret_access_key',
  'secretAccessKey',
  'session_token',
  'sessionToken',
  'access_key_id',
  'accessKeyId',
  'key',
];

/** pino's wildcards stand for one level each, so each depth is written out. */
const REDACTED_PATHS: readonly string[] = SECRET_KEYS.flatMap((key) => [
  key,
  `*.${key}`,
  `*.*.${key}`,
  `*.*.*.${key}`,
]);

/** How deep causes are followed. */
const MAX_CAUSES = 5;

export function createLogger({ level, destination, format = 'auto', env = {} }: LoggerOptions): Logger {
  const isTerminal = destination.isTTY === true;
  const forPeople = format === 'console' || (format === 'auto' && isTerminal);
  const style = { isTerminal, hasColor: wantsColor(destination, env) };
  // JSON too: somebody will look at it in a terminal, and to a machine it is the same document.
  const output = terminalOutput(destination);
  const write = forPeople
    ? (line: string): unknown => output.write(formatLine(line, style))
    : (line: string): unknown => output.write(line);
  return pino(
    {
      level,
      base: null,
      ...(format === 'datadog_json' ? DATADOG_NAMES : { timestamp: pino.stdTimeFunctions.isoTime }),
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: [...REDACTED_PATHS], censor: '[secret]' },
      serializers: { err: describeForLog, error: describeForLog },
    },
    { write },
  );
}

/** An answer that is a page of HTML says no more in full. */
const MAX_MESSAGE_CHARS = 1000;

const shortened = (text: string): string =>
  text.length <= MAX_MESSAGE_CHARS
    ? text
    : `${text.slice(0, MAX_MESSAGE_CHARS)}… (${text.length} characters)`;

/** Only where it happened: a stack begins with the message, which stands beside it. */
function framesOf({ stack }: Error): string | undefined {
  const first = stack?.search(/^ {4}at /m) ?? -1;
  return first === -1 ? undefined : stack!.slice(first);
}

/** Where ours are others. https://docs.datadoghq.com/logs/log_configuration/pipelines/?tab=date#preprocessing */
const DATADOG_NAMES = {
  messageKey: 'message',
  timestamp: (): string => pino.stdTimeFunctions.isoTime().replace('"time"', '"timestamp"'),
};

/**
 * An error without what may hold row values. Invariant 9: Postgres puts them into `detail` and `where`
 * (https://www.postgresql.org/docs/current/protocol-error-fields.html), so only known fields pass.
 */
export function describeForLog(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error;
  const { code, hint, cause } = error as Error & { code?: unknown; hint?: unknown };
  return {
    type: error.name,
    message: shortened(redactUrlPasswords(error.message)),
    ...(typeof code === 'string' && { code }),
    ...(typeof hint === 'string' && { hint: shortened(redactUrlPasswords(hint)) }),
    stack: framesOf(error),
    ...(cause !== undefined && depth < MAX_CAUSES && { cause: describeForLog(cause, depth + 1) }),
  };
}

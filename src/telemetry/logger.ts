// The service's logger: JSON lines for machines, one short line for a person at a terminal, no secrets in either.
import { pino, type Logger } from 'pino';
import { redactUrlPasswords } from './redaction.ts';
import { formatLine } from './terminal-line.ts';

export type LogDestination = { write(text: string): unknown; readonly isTTY?: boolean };

export type LoggerOptions = {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly destination: LogDestination;
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

export function createLogger(options: LoggerOptions): Logger {
  const { destination } = options;
  const stream =
    destination.isTTY === true
      ? { write: (line: string): unknown => destination.write(formatLine(line)) }
      : { write: (line: string): unknown => destination.write(line) };
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: [...REDACTED_PATHS], censor: '[secret]' },
      serializers: { err: describe, error: describe },
    },
    stream,
  );
}

/**
 * An error without what may hold row values. Invariant 9: Postgres puts them into `detail` and `where`
 * (https://www.postgresql.org/docs/current/protocol-error-fields.html), so only known fields pass.
 */
function describe(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return error;
  const { code, hint, cause } = error as Error & { code?: unknown; hint?: unknown };
  return {
    type: error.name,
    message: redactUrlPasswords(error.message),
    ...(typeof code === 'string' && { code }),
    ...(typeof hint === 'string' && { hint }),
    stack: error.stack === undefined ? undefined : redactUrlPasswords(error.stack),
    ...(cause !== undefined && depth < MAX_CAUSES && { cause: describe(cause, depth + 1) }),
  };
}

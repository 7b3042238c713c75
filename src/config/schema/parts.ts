// The kinds of values that configuration keys take: durations, sizes, names, addresses, lists.
import { z } from 'zod';
import { parseDurationMs } from '../../core/duration.ts';
import { parseGapName } from '../../core/gaps.ts';
import { parseLsn } from '../../core/lsn.ts';
import {
  formatNamePattern,
  formatTablePattern,
  parseNamePattern,
  parseTableName,
  parseTablePattern,
} from '../../core/selection.ts';
import type { ListenSettings, SinkStart } from '../../pipeline/settings.ts';
import { AUTH_METHODS, type AuthMethod } from '../../postgres/settings.ts';
import { faultOfText } from '../../sinks/http/printable.ts';
import { parseConnectionUrl, type ConnectionUrl } from '../connection-url.ts';
import { faultOfParameters, parseAuthMethods } from '../libpq/parameters.ts';
import { MAX_TIMER_MS, parseBytes, parseHostPort } from '../units.ts';

type Refinement = {
  addIssue(issue: { code: 'custom'; message: string; params?: Record<string, unknown> }): void;
};

/** A text (or a bare number) that `parse` understands, else the fault `expected`. */
function parsed<T>(expected: string, parse: (text: string) => T | undefined) {
  return z
    .union([z.string(), z.number()], { error: expected })
    .transform((written, context: Refinement): T => {
      const value = parse(String(written));
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom', message: expected });
      return z.NEVER;
    });
}

/** What consumers get word for word. Zod's records leave out a key that is called `__proto__`. */
export const annotations = () =>
  z
    .custom<Readonly<Record<string, unknown>>>(
      (written) => typeof written === 'object' && written !== null && !Array.isArray(written),
      { error: 'a mapping is expected here' },
    )
    .meta({ type: 'object', additionalProperties: {} })
    .prefault({})
    .describe("Handed on in every message's metadata.");

/** Milliseconds. */
export const duration = () =>
  parsed('a duration with its unit is expected, such as 500ms, 35s, 2m, 24h or 7d', parseDuration);

const parseDuration = (text: string): number | undefined => (text === '0' ? 0 : parseDurationMs(text));

/** Milliseconds that a timer can wait. */
export const timerDuration = () =>
  parsed('a duration below 24 days is expected, with its unit: 500ms, 35s, 2m, 24h', (text) => {
    const ms = parseDuration(text);
    return ms !== undefined && ms <= MAX_TIMER_MS ? ms : undefined;
  });

/** The same, never 0. */
export const positiveDuration = () =>
  parsed('a duration above 0 and below 24 days is expected, with its unit: 500ms, 35s, 2m', (text) => {
    const ms = parseDuration(text);
    return ms !== undefined && ms > 0 && ms <= MAX_TIMER_MS ? ms : undefined;
  });

/** How waits grow; the first and the longest as durations. */
export const retryPolicy = (waits: { readonly initial: string; readonly longest: string }) =>
  z
    .strictObject({
      initial_backoff: timerDuration().prefault(waits.initial).describe('The first wait.'),
      multiplier: z.number().min(1).default(2).describe('How each wait grows.'),
      max_backoff: timerDuration().prefault(waits.longest).describe('The longest wait.'),
      jitter: z
        .number()
        .min(0)
        .max(1)
        .default(0.2)
        .describe('The share of a wait that chance moves, up or down.'),
    })
    .prefault({});

export type RetryConfig = z.output<ReturnType<typeof retryPolicy>>;

/** Bytes. */
export const byteSize = () => parsed('a size is expected, such as 64KB, 128MB or 10GB', parseBytes);

/** Names become directory and file names, metric labels and parts of URLs. */
export const resourceName = () =>
  z
    .string()
    .regex(
      /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/,
      'a name has letters, digits, "_", "-" and "." only, at most 128 of them',
    );

/** https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION-SLOTS-MANIPULATION */
export const slotName = () =>
  z
    .string()
    .regex(
      /^[a-z0-9_]{1,63}$/,
      'a slot name has lower-case letters, digits and "_" only, at most 63 of them',
    );

export const nonEmpty = () => z.string().min(1, 'this is empty');

/** A name that Postgres, or AWS, knows. What a file or a secret holds mostly ends with a line break, and no such name does. */
export const knownName = () =>
  nonEmpty().refine((text) => !/[\r\n]$/.test(text), {
    error: 'it ends with a line break, as the content of a file does: write it without',
  });

/** Of a header: with anything else no client could send it. */
export const bearerToken = () =>
  nonEmpty().superRefine((text, context) => {
    const fault = text === '' ? undefined : faultOfText(text);
    if (fault !== undefined) context.addIssue({ code: 'custom', message: `no header holds this: ${fault}` });
  });

const TABLE_EXPECTED =
  'a table is named schema.table, or table alone for the schema public; odd names in double quotes';

/** A text that `parse` understands, else the fault `expected`. */
const named = <T>(expected: string, parse: (text: string) => T | undefined) =>
  z.string().transform((text, context: Refinement): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });

/** A gap as the status names it. */
export const gapName = () =>
  named('a gap is named as in the status, such as 16/B374D848..16/B37A0000', parseGapName);

export const tableName = () => named(TABLE_EXPECTED, parseTableName);

export const tablePattern = () =>
  named(
    `${TABLE_EXPECTED}; * stands for any characters, as in tenant_*.orders or public.*`,
    parseTablePattern,
  );

export const schemaPattern = () =>
  named('the name of a schema is expected; * stands for any characters, as in tenant_*', parseNamePattern);

/** A list in which nothing stands twice. */
const distinct = <S extends z.ZodType>(entry: S, format: (value: z.output<S>) => string) =>
  z.array(entry).superRefine((values, context) => {
    const seen = new Set<string>();
    for (const [index, value] of values.entries()) {
      const text = format(value);
      if (seen.has(text))
        context.addIssue({ code: 'custom', message: `${text} is named twice`, path: [index] });
      seen.add(text);
    }
  });

/** The shortest list: one that includes nothing would be a sink without tables. */
type Length = { readonly least: 0 | 1 };

export const tablePatterns = ({ least }: Length) => distinct(tablePattern(), formatTablePattern).min(least);
export const schemaPatterns = ({ least }: Length) => distinct(schemaPattern(), formatNamePattern).min(least);

/** `db-1,db-2:5433` or a list of them. */
export const hostList = () =>
  z
    .union([z.string(), z.array(z.string())], { error: 'a host name is expected, or a list of them' })
    .transform((written, context: Refinement): readonly string[] => {
      const hosts = (typeof written === 'string' ? written.split(',') : written).map((host) => host.trim());
      if (hosts.length > 0 && hosts.every((host) => parseHostPort(host, 1) !== undefined)) return hosts;
      context.addIssue({
        code: 'custom',
        message: 'host names are expected, as in db-1,db-2:5433,[::1]:5432',
      });
      return z.NEVER;
    });

/** One for all hosts, or one for each, as libpq writes them. */
export const portList = () =>
  parsed('a port from 1 to 65535 is expected, or one for each host, as in 5432,5433', (text) => {
    const ports = text.split(',').map((port) => Number(/^\s*(\d{1,5})\s*$/.exec(port)?.[1] ?? 0));
    return ports.every((port) => port >= 1 && port <= 65_535) ? ports : undefined;
  });

/** A message never repeats the URL: it holds the password. */
export const connectionUrl = () =>
  z.string().transform((text, context: Refinement): ConnectionUrl => {
    const url = parseConnectionUrl(text);
    const fault = (message: string, nearest?: string): never => {
      context.addIssue({ code: 'custom', message, ...(nearest !== undefined && { params: { nearest } }) });
      return z.NEVER;
    };
    if (/^\s|\s$/.test(text)) {
      return fault(
        'this begins or ends with a blank or a line break; a block that begins with "|" ends with one: write "|-"',
      );
    }
    if (url === undefined) {
      return fault(
        'a URL is expected: postgres://user:password@host:5432/database (special characters as %XX)',
      );
    }
    if (url.unknown !== undefined) {
      return fault(`${url.unknown.name} is no parameter of a connection URL`, url.unknown.nearest);
    }
    const wrong = faultOfParameters(url);
    return wrong === undefined ? url : fault(wrong.message);
  });

/** A list, or as libpq writes it: `scram-sha-256,md5`, `!password`. */
export const authMethods = () =>
  z
    .union([z.string(), z.array(z.string())], { error: 'a list of methods is expected' })
    .transform((written, context: Refinement): readonly AuthMethod[] => {
      const methods = parseAuthMethods(typeof written === 'string' ? written : written.join(','));
      if (methods !== undefined) return methods;
      const message = `methods are expected: ${AUTH_METHODS.join(', ')}`;
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    });

/** An address to listen on, without the `explicit` that only the place where it is written tells. */
export const listenAddress = () =>
  parsed('an address is expected, such as 127.0.0.1:7376, 0.0.0.0:0 for a free port, or off', (text) => {
    if (text === 'off') return 'off';
    const address = parseHostPort(text, -1);
    return address === undefined || address.port === -1 ? undefined : { ...address, explicit: true };
  }).transform((address): ListenSettings => address);

/** Where a new sink begins. */
export const sinkStart = () =>
  parsed(
    'earliest, an LSN such as 16/B374D848, or a time with its zone such as 2026-01-02T03:04:05Z is expected',
    parseSinkStart,
  );

export function parseSinkStart(text: string): SinkStart | undefined {
  if (text === 'earliest') return { from: 'earliest' };
  const lsn = parseLsn(text);
  if (lsn !== undefined) return { from: 'lsn', lsn };
  const match = /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,6}))?\s?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(`${match[1]!.replace(' ', 'T')}${match[3]}`);
  if (Number.isNaN(ms)) return undefined;
  return { from: 'time', timeUs: BigInt(ms) * 1000n + BigInt((match[2] ?? '').padEnd(6, '0')) };
}

/** A key that other products read and that needs nothing here: accepted, one note. */
export const ignored = (why: string) =>
  z
    .unknown()
    .optional()
    .meta({ ignored: why, description: `Accepted without effect: ${why}.` });

const NO_IDS = 'names identify things here';

/** What Sequin's database adds to each thing that its console exports. */
export const exported = () => ({
  id: ignored(NO_IDS),
  account_id: ignored(NO_IDS),
  inserted_at: ignored(NO_IDS),
  updated_at: ignored(NO_IDS),
});

/** A key of Sequin's for what a later version brings: accepted while it asks for nothing. */
export const notYet = (fault = 'this version does not have this yet') =>
  z
    .unknown()
    .optional()
    .superRefine((value, context) => {
      if (!asksForNothing(value)) context.addIssue({ code: 'custom', message: fault, params: { at: 'key' } });
    })
    .describe('Only empty (`null`, `false`, `[]`) in this version, as in `sequin.yaml`.');

function asksForNothing(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return [undefined, null, false, '', 'false'].includes(value as undefined);
}

/** A function's name in Sequin; `none` switches it off, which it is. */
export const noFunction = (what: string) =>
  z
    .literal('none', { error: `${what} are not in this version yet; "none" is accepted` })
    .optional()
    .describe('Only `none`, as in `sequin.yaml`.');

/** A PEM text, or the file that holds it: the reader puts the text in its place. */
export const pem = <S extends z.ZodType>(schema: S): S => schema.meta({ ...schema.meta(), pem: true });

/** Never shown. */
export const secret = <S extends z.ZodType>(schema: S): S => schema.meta({ ...schema.meta(), secret: true });

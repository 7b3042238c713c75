// The schema of tailrace.yaml. To add a configuration key, write it here, in database.ts, sink.ts or endpoint.ts, with its default and
// its description: validation, the published JSON Schema and docs/configuration.md derive from it (`npm run docs`), and
// tailrace/settings.ts hands it on.
import { z } from 'zod';
import type { Place } from '../tailrace/place.ts';
import { databaseSchema, type WrittenDatabase } from './database.ts';
import { endpointSchema } from './endpoint.ts';
import { functionSchema } from './functions.ts';
import {
  bearerToken,
  byteSize,
  duration,
  exported,
  ignored,
  listenAddress,
  notYet,
  secret,
  timerDuration,
} from './parts.ts';
import { SINKS_NOT_YET } from '../../sinks/registry.ts';
import { sinkSchema, type SinkConfig } from './sink.ts';

export const fileSchema = z.strictObject({
  databases: z
    .array(databaseSchema)
    .min(1, 'at least one database is needed')
    .describe('The Postgres databases to follow.'),
  sinks: z.array(sinkSchema).default([]).describe('Where changes go.'),
  http_endpoints: z.array(endpointSchema).default([]).describe('HTTP endpoints that webhook sinks send to.'),
  log: z
    .strictObject({
      retention: duration()
        .prefault('24h')
        .describe('How long delivered changes stay in the change log (for rewinds).'),
      max_bytes: byteSize()
        .optional()
        .describe(
          "Size of a database's change log above which delivered changes go earlier. Default: 10 GB, or half the free disk if that is less.",
        ),
      min_free: byteSize()
        .prefault('1GB')
        .describe(
          'Free disk below which reading from Postgres stops; where the log is within `max_bytes`, at most a twentieth of the disk.',
        ),
      max_message_bytes: byteSize().prefault('64MB').describe('A larger row becomes a dead letter.'),
      segment_bytes: byteSize().prefault('64MB').describe('Size of one file of the change log.'),
    })
    .prefault({})
    .describe('The change log, in the data directory.'),
  state: z
    .strictObject({
      url: z
        .string()
        .regex(/^sqlite:./, 'only sqlite:FILE is in this version (relative to the data directory)')
        .default('sqlite:tailrace.db')
        .describe('Where the small state is kept, relative to the data directory.'),
    })
    .prefault({})
    .describe('The state store.'),
  dead_letters: z
    .strictObject({
      retention: duration()
        .prefault('30d')
        .describe('How long a dead letter is kept after its last failure; `0` for ever.'),
      max_count: z
        .int()
        .min(0)
        .default(100_000)
        .describe('How many each sink keeps; above that the oldest are dropped. `0`: no limit.'),
      max_bytes: byteSize()
        .prefault('1GB')
        .describe('Bytes of payload that each sink keeps; above that the oldest are dropped. `0`: no limit.'),
    })
    .prefault({})
    .describe('Limits of the dead letters. What they drop is counted and logged.'),
  api: z
    .strictObject({
      listen: listenAddress()
        .prefault('127.0.0.1:7376')
        .describe(
          'Address of the API; port 0 picks a free one, `off` closes it. `SERVER_PORT` changes the port, and with tokens opens it on all interfaces.',
        ),
      tokens: z
        .array(secret(bearerToken()))
        .default([])
        .describe(
          'Bearer tokens, one of which the API then demands, on loopback too. Needed to listen beyond loopback.',
        ),
    })
    .prefault({})
    .describe('The HTTP API.'),
  metrics: z
    .strictObject({
      listen: listenAddress()
        .prefault('127.0.0.1:8376')
        .describe(
          'Address of `/metrics`, `/health` and `/ready`, or `off`. `SEQUIN_METRICS_PORT` changes the port.',
        ),
      username: z
        .string()
        .optional()
        .describe(
          'User of HTTP Basic authentication, which `/metrics` then demands on every listener. Default: `SEQUIN_METRICS_USER`.',
        ),
      password: secret(z.string()).optional().describe('Its password. Default: `SEQUIN_METRICS_PASSWORD`.'),
    })
    .prefault({})
    .describe('Metrics and health, without a token.'),
  shutdown_timeout: timerDuration()
    .prefault('20s')
    .describe(
      'How long a stop takes at most, without closing; messages in flight are waited for in the first 70 % of it.',
    ),
  stats_interval: timerDuration()
    .prefault('1m')
    .describe('How often the statistics line is logged; `0` for never.'),
  log_level: z
    .enum(['debug', 'info', 'warn', 'error'])
    .optional()
    .describe('The least level that is logged. Default: `LOG_LEVEL`, else `info`.'),
  log_format: z
    .enum(['auto', 'console', 'json', 'datadog_json'])
    .optional()
    .describe(
      'Lines for people (`console`), JSON, or JSON with the names that Datadog looks for. Default: `SEQUIN_LOG_FORMAT`, else `auto`: for people on a terminal, else JSON.',
    ),
  api_tokens: z
    .array(z.strictObject({ name: z.string(), token: secret(bearerToken()), ...exported() }))
    .default([])
    .describe("Sequin's spelling of `api.tokens`."),
  account: ignored('Tailrace has no accounts'),
  users: ignored('Tailrace has no users'),
  functions: z
    .array(functionSchema)
    .default([])
    .describe('Functions that sinks name, as in `sequin.yaml`: those of type `path`.'),
  transforms: z.array(functionSchema).default([]).describe('An older spelling of `functions`.'),
  change_retentions: notYet(),
});

type ParsedFile = z.output<typeof fileSchema>;

/** A database, and where it is and who we are there: what is written, and what libpq's surroundings give besides. */
export type DatabaseConfig = WrittenDatabase & { readonly place: Place };

/** The file, checked and read: durations in milliseconds, sizes in bytes. */
export type FileConfig = Omit<ParsedFile, 'databases' | 'sinks'> & {
  readonly databases: readonly DatabaseConfig[];
  readonly sinks: readonly SinkConfig[];
};

/** A sink that names no database follows the only one. */
export const withDatabases = (parsed: ParsedFile, databases: readonly DatabaseConfig[]): FileConfig => ({
  ...parsed,
  databases,
  sinks: parsed.sinks.map((sink) => ({ ...sink, database: sink.database ?? parsed.databases[0]!.name })),
});

/** Keys of the design that a later version brings: not unknown, but not here. `[]` stands for any index. */
export const KEYS_NOT_YET: ReadonlyMap<string, readonly string[]> = new Map([
  ['', ['backfills']],
  ['sinks[]', ['budget', 'oversize', 'backfills']],
]);

/** Values likewise. A name that its registry knows is never asked for here. */
export const VALUES_NOT_YET: ReadonlyMap<string, readonly string[]> = new Map([
  ['sinks[].destination.type', SINKS_NOT_YET],
]);

// The schema of one entry of `databases` in tailrace.yaml: every key of it, with its default.
import { z } from 'zod';
import { tlsModeOf, type ConnectionUrl } from '../connection-url.ts';
import { parseHostPort, type HostPort } from '../units.ts';
import {
  annotations,
  byteSize,
  connectionUrl,
  exported,
  gapName,
  hostList,
  ignored,
  nonEmpty,
  notYet,
  pem,
  portList,
  positiveDuration,
  resourceName,
  retryPolicy,
  secret,
  slotName,
  timerDuration,
} from './parts.ts';

const NO_POOL = 'Tailrace needs few connections and no pool';

/** Zod would keep these checks back until every key is right: faults are told all at once. */
const ALWAYS = {
  when: ({ value }: { value: unknown }): boolean => typeof value === 'object' && value !== null,
};

export const DATABASE_DEFAULTS = { port: 5432, username: 'postgres', password: 'postgres' } as const;

const tls = z
  .strictObject({
    mode: z
      .enum(['disable', 'prefer', 'require', 'verify-ca', 'verify-full'])
      .default('verify-full')
      .describe(
        'How much of TLS is demanded. Only `verify-full` proves that the server is the one that was meant.',
      ),
    ca: pem(nonEmpty())
      .optional()
      .describe(
        "Certificate authorities: a PEM file, relative to this file, or the PEM text. Default: the system's.",
      ),
    cert: pem(nonEmpty()).optional().describe('Client certificate: a PEM file or text.'),
    key: secret(pem(nonEmpty())).optional().describe('Key of the client certificate: a PEM file or text.'),
  })
  .superRefine((value, context) => {
    if ((value.cert === undefined) === (value.key === undefined)) return;
    const [present, absent] = value.cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
    context.addIssue({
      code: 'custom',
      path: [present],
      message: `tls.${absent} is needed beside tls.${present}`,
    });
  });

const slot = z.strictObject({
  name: slotName().describe('The replication slot.'),
  create_if_not_exists: z.boolean().default(false).describe('Create the slot at start when it is missing.'),
  ack: z
    .enum(['auto', 'delivered', 'durable'])
    .default('auto')
    .describe(
      'What lets Postgres free its WAL: `delivered` to every sink, `durable` in the change log here, or `auto`: the first until `max_retained` is passed, then the second.',
    ),
  max_retained: byteSize()
    .prefault('128MB')
    .describe(
      'With `ack: auto`: the WAL that Postgres may hold for slow sinks before the change log takes over.',
    ),
  failover: z
    .boolean()
    .default(true)
    .describe(
      'The slot is one that standbys can take over (Postgres 17 and newer): made so, or altered before the stream starts.',
    ),
});

const publication = z.strictObject({
  name: nonEmpty().describe('The publication.'),
  create_if_not_exists: z
    .boolean()
    .default(false)
    .describe(
      "Create the publication at start when it is missing, listing the sinks' tables by name; tables made later are added.",
    ),
  schemas: ignored('a publication of our own lists the tables that sinks want'),
  init_sql: nonEmpty()
    .optional()
    .describe(
      'SQL that creates the publication instead; runs as given, once variables are put in (`$$` is one dollar sign).',
    ),
  refresh_interval: timerDuration()
    .prefault('10s')
    .describe(
      'How often to look for tables made since then that a sink wants: a publication of our own takes them in. `0`: at every connect only.',
    ),
});

const markers = z.strictObject({
  skip: z
    .boolean()
    .default(false)
    .describe(
      "Lets SQL keep the rest of its transaction from the sinks: `select pg_logical_emit_message(true, 'tailrace:skip', '')`. Any role may write such a message.",
    ),
});

/** How the connection that follows the slot is kept alive, and found again. */
export const connectionSchema = z.strictObject({
  status_interval: positiveDuration().prefault('10s').describe(
    // As Postgres' own receiver: https://www.postgresql.org/docs/current/runtime-config-replication.html
    'How often Postgres is told what it may forget, when nothing else asks. As `wal_receiver_status_interval`.',
  ),
  receive_timeout: positiveDuration()
    .prefault('60s')
    .describe('A connection that is silent for so long is taken for dead. As `wal_receiver_timeout`.'),
  // A database that restarts is found again soon; one that is gone is asked twice a minute.
  retry: retryPolicy({ initial: '200ms', longest: '30s' }).describe('Waits between tries to connect.'),
  max_retry_count: z
    .int()
    .min(1)
    .optional()
    .describe('Failures to connect in a row after which the service ends. Default: no limit.'),
});

export type ConnectionConfig = z.output<typeof connectionSchema>;

export const databaseSchema = z
  .strictObject({
    name: resourceName().describe('Name of this database here; sinks refer to it.'),
    hostname: hostList()
      .optional()
      .describe(
        'Host, or several (a list, or separated by commas, each with a port of its own or not): the primary is found, and followed after a failover.',
      ),
    port: portList()
      .optional()
      .describe(
        'Port of the hosts that name none; or one for each host, separated by commas. Default: 5432.',
      ),
    database: nonEmpty()
      .optional()
      .describe('Name of the database in Postgres. Required unless `url` is given.'),
    username: nonEmpty()
      .optional()
      .describe('Role to connect as.')
      .meta({ default: DATABASE_DEFAULTS.username }),
    password: secret(z.string())
      .optional()
      .describe('Its password.')
      .meta({ default: DATABASE_DEFAULTS.password }),
    url: secret(connectionUrl())
      .optional()
      .describe(
        'All of the above in one, as libpq reads it: `postgres://user:password@host-1,host-2:5433/database?sslmode=verify-full`. Parameters of libpq that mean nothing here are passed over with a note.',
      ),
    tls: tls
      .optional()
      .describe('Encryption. A block without `mode` means `verify-full`; no block means `prefer`.'),
    ssl: z
      .boolean()
      .optional()
      .describe("Sequin's spelling: `false` is `tls.mode: disable`, `true` is `require`."),
    slot: slot.optional().describe('The replication slot (or `slot_name`).'),
    slot_name: slotName().optional().describe("Sequin's older spelling of `slot.name`."),
    publication: publication.optional().describe('The publication (or `publication_name`).'),
    publication_name: nonEmpty().optional().describe("Sequin's older spelling of `publication.name`."),
    markers: markers
      .prefault({})
      .describe('What messages in the write-ahead log may do (Postgres 14 and newer).'),
    connection: connectionSchema.prefault({}).describe('How the connection is kept alive, and found again.'),
    on_gap: z
      .enum(['halt', 'resume'])
      .default('halt')
      .describe(
        'When changes are provably missing: `halt` the sinks whose tables that can concern, until somebody accepts the gap, or `resume` at once (the status stays degraded until it is accepted).',
      ),
    accepted_gaps: z
      .array(gapName())
      .default([])
      .describe(
        'Gaps that are known and accepted, by their names in the status: `16/B374D848..16/B37A0000`.',
      ),
    annotations: annotations(),
    pool_size: ignored(NO_POOL),
    await_database: ignored('Tailrace keeps trying until the database answers'),
    ipv6: ignored('both address families are tried'),
    tables: ignored('the publication and the sinks say which tables are read'),
    queue_interval: ignored(NO_POOL),
    queue_target: ignored(NO_POOL),
    use_local_tunnel: notYet("Sequin Cloud's tunnels are not here: write hostname, or url"),
    primary: notYet(),
    ...exported(),
  })
  .superRefine((value, context) => {
    const fault = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (value.url === undefined) {
      if (value.hostname === undefined) fault(['hostname'], 'this is missing (hostname, or url)');
      if (value.database === undefined) fault(['database'], 'this is missing (database, or url)');
      const { hostname = [], port = [] } = value;
      if (port.length > 1 && port.length !== hostname.length)
        fault(['port'], `one port is expected, or one for each of the ${hostname.length} hosts`);
    } else {
      for (const key of ['hostname', 'port', 'database', 'username', 'password'] as const) {
        if (value[key] !== undefined) fault([key], 'this stands in url already: give one of the two');
      }
    }
    for (const key of ['slot', 'publication'] as const) {
      const older = `${key}_name` as const;
      if (value[key] === undefined && value[older] === undefined) fault([key, 'name'], 'this is missing');
      if (value[key] !== undefined && value[older] !== undefined)
        fault([older], `this stands in ${key}.name already`);
    }
    if (value.tls !== undefined && value.ssl !== undefined)
      fault(['ssl'], 'tls says this already: give one of the two');
    if ((value.tls ?? value.ssl) !== undefined && value.url?.sslmode !== undefined) {
      fault(['url'], 'its sslmode and the tls block contradict each other: give one of the two');
    }
  }, ALWAYS)
  .transform((written) => ({
    name: written.name,
    ...placeOf(written),
    tls: tlsOf(written),
    // The checks above have seen to it that each is there in one of its spellings.
    slot: written.slot ?? slot.parse({ name: written.slot_name }),
    publication: written.publication ?? publication.parse({ name: written.publication_name }),
    markers: written.markers,
    on_gap: written.on_gap,
    accepted_gaps: written.accepted_gaps,
    connection: written.connection,
    annotations: written.annotations,
  }));

type Place = {
  readonly hosts: readonly HostPort[];
  readonly database: string;
  readonly username: string;
  readonly password: string;
};

/** In one spelling, whether a URL was written or its parts. */
function placeOf(written: {
  readonly url?: ConnectionUrl | undefined;
  readonly hostname?: readonly string[] | undefined;
  readonly port?: readonly number[] | undefined;
  readonly database?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}): Place {
  const { url, port = [] } = written;
  const portOf = (index: number): number => port[index] ?? port[0] ?? DATABASE_DEFAULTS.port;
  return {
    hosts:
      url?.hosts.map((host, index) => ({ port: portOf(index), ...host })) ??
      (written.hostname ?? []).map((host, index) => parseHostPort(host, portOf(index))!),
    database: (url?.database ?? written.database)!,
    username: url?.username ?? written.username ?? DATABASE_DEFAULTS.username,
    password: url?.password ?? written.password ?? DATABASE_DEFAULTS.password,
  };
}

/** Only a `tls` block is strict by itself. Certificates are as written: files, or PEM texts. */
function tlsOf(written: {
  readonly tls?: z.output<typeof tls> | undefined;
  readonly ssl?: boolean | undefined;
  readonly url?: ConnectionUrl | undefined;
}): z.output<typeof tls> {
  if (written.tls !== undefined) return written.tls;
  if (written.ssl !== undefined) return { mode: written.ssl ? 'require' : 'disable' };
  const { sslcert: cert, sslkey: key } = written.url ?? {};
  const { mode, ca } = written.url === undefined ? { mode: 'prefer' } : tlsModeOf(written.url);
  return {
    mode: mode as z.output<typeof tls>['mode'],
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  };
}

/** A database, checked and read: each thing in one spelling. */
export type DatabaseConfig = z.output<typeof databaseSchema>;

// The schema of one entry of `databases` in tailrace.yaml: every key of it, with its default.
import { z } from 'zod';
import {
  annotations,
  authMethods,
  byteSize,
  connectionUrl,
  exported,
  gapName,
  hostList,
  ignored,
  knownName,
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
        'Certificate authorities: a PEM file, relative to this file, or the PEM text; or `system` for those that this machine trusts. Default: those that Node.js comes with, and `NODE_EXTRA_CA_CERTS`. A file is read at each connect.',
      ),
    cert: pem(nonEmpty())
      .optional()
      .describe('Client certificate: a PEM file (read at each connect) or text.'),
    key: secret(pem(nonEmpty()))
      .optional()
      .describe('Key of the client certificate: a PEM file (read at each connect) or text.'),
    key_passphrase: secret(nonEmpty()).optional().describe('What opens the key, where it is encrypted.'),
    negotiation: z
      .enum(['postgres', 'direct'])
      .default('postgres')
      .describe(
        '`direct`: TLS from the first byte, one round trip less (Postgres 17 and newer). As `sslnegotiation` of libpq.',
      ),
  })
  .superRefine((value, context) => {
    const fault = (key: string, message: string) =>
      context.addIssue({ code: 'custom', path: [key], message });
    if (value.negotiation === 'direct' && ['disable', 'prefer'].includes(value.mode)) {
      fault('negotiation', `direct begins with TLS, and tls.mode is ${value.mode}: write require or more`);
    }
    if (value.key_passphrase !== undefined && value.key === undefined) {
      fault('key_passphrase', 'tls.key is needed beside tls.key_passphrase');
    }
    if ((value.cert === undefined) === (value.key === undefined)) return;
    const [present, absent] = value.cert === undefined ? ['key', 'cert'] : ['cert', 'key'];
    fault(present!, `tls.${absent} is needed beside tls.${present}`);
  });

const rdsIam = z.strictObject({
  region: knownName()
    .optional()
    .describe('Region of the instance. Default: as its host name says, `AWS_REGION`, else of the profile.'),
  profile: knownName().optional().describe('Profile of the shared AWS configuration files.'),
  role_arn: knownName().optional().describe('Role to assume with the credentials found otherwise.'),
  external_id: knownName().optional().describe('External id that the role asks for.'),
  use_task_role: z
    .boolean()
    .default(false)
    .describe(
      'Use the role of the ECS task, EKS service account or EC2 instance, whatever the environment says.',
    ),
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
    .union([z.boolean(), z.literal('unaltered')], { error: 'true, false or unaltered is expected here' })
    .default(true)
    .describe(
      'Standbys have the slot, so that a failover finds it: a failover slot, made so or altered before the stream starts (Postgres 17 and newer), or one that Tailrace makes and moves along on each standby of the list (16). `unaltered`: the same, but a slot that is there already stays as it is, as with pg2sqs.',
    ),
  streaming: z
    .enum(['off', 'on'])
    .default('off')
    .describe(
      '`on`: Postgres sends large transactions while they are in progress (Postgres 14 and newer), and they wait on the disk here for their commits. What sinks get, and in which order, is the same. The server spills less of them to its own disk.',
    ),
  max_spooled: byteSize()
    .prefault('4GB')
    .describe(
      'With `streaming: on`: what of transactions in progress may wait here. Where it is not enough, Tailrace connects again and reads each transaction once it is committed.',
    ),
});

const primary = z.strictObject({
  hostname: hostList().describe('Host of the primary, or several hosts of which one is it.'),
  port: portList().optional().describe('Its port, as for the standby. Default: 5432.'),
  database: knownName().optional().describe('Name of the database.'),
  username: knownName().optional().describe('Role to connect as.'),
  password: secret(z.string()).optional().describe('Its password.'),
  ssl: z.boolean().optional().describe('`false` is `tls.mode: disable`, `true` is `require`.'),
  ipv6: ignored('both address families are tried'),
  pool_size: ignored(NO_POOL),
});

const publication = z.strictObject({
  name: knownName().describe('The publication.'),
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
    database: knownName()
      .optional()
      .describe('Name of the database in Postgres. Required unless `url` is given.'),
    username: knownName()
      .optional()
      .describe('Role to connect as.')
      .meta({ default: DATABASE_DEFAULTS.username }),
    password: secret(z.string())
      .optional()
      .describe('Its password. Default: `PGPASSWORD`, a line of `~/.pgpass`, else `postgres`.')
      .meta({ default: DATABASE_DEFAULTS.password }),
    password_file: nonEmpty()
      .optional()
      .describe('A file that holds the password, relative to this file; read at each connect.'),
    password_command: z
      .array(z.string())
      .min(1)
      .optional()
      .describe(
        'A program, and its arguments, that prints the password; run without a shell for each connection on which the server asks for one.',
      ),
    password_command_timeout: positiveDuration()
      .prefault('10s')
      .describe('How long it may take. It is ended then.'),
    rds_iam: z
      .union([z.boolean(), rdsIam], { error: 'true is expected here, or a mapping' })
      .optional()
      .describe(
        'Connect to Amazon RDS or Aurora by IAM: a new token for each connection. Needs TLS, and for the stream `rds.iam_auth_for_replication = 1` in the parameter group.',
      ),
    channel_binding: z
      .enum(['disable', 'prefer', 'require'])
      .optional()
      .describe(
        "Ties the SCRAM exchange to the server's certificate, so that nobody in between can pass it on. As in libpq.",
      )
      .meta({ default: 'prefer' }),
    require_auth: authMethods()
      .optional()
      .describe(
        'How the server may ask for the password: `scram-sha-256`, `md5`, `password` (in clear), `none`. Others get none. Default: as it likes.',
      ),
    service: knownName()
      .optional()
      .describe(
        "Section of libpq's service file (`PGSERVICEFILE`, `~/.pg_service.conf`) that gives what is not written here. Default: `PGSERVICE`.",
      ),
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
    publication_name: knownName().optional().describe("Sequin's older spelling of `publication.name`."),
    markers: markers
      .prefault({})
      .describe('What messages in the write-ahead log may do (Postgres 14 and newer).'),
    connection: connectionSchema.prefault({}).describe('How the connection is kept alive, and found again.'),
    barrier: hostList()
      .optional()
      .describe(
        'Standbys without which nothing is delivered: a change goes out once each of them has replayed it, so that no failover to one of them takes back what consumers have. Hosts, as in `hostname`; a host that names no port has the first of `port`.',
      ),
    barrier_timeout: positiveDuration()
      .optional()
      .describe(
        'A standby of `barrier` that does not move for so long while changes wait for it is passed over, until it has caught up; the database is degraded meanwhile. Default: it is waited for.',
      ),
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
    primary: primary
      .nullish()
      .describe(
        'With this `hostname` is a standby, or several, to read from (Postgres 16 and newer): what only a primary takes (the publication, a new slot, markers) is done there. What is not said is as for the standby.',
      ),
    ...exported(),
  })
  .superRefine((value, context) => {
    const fault = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    const { hostname, port = [] } = value;
    if (hostname !== undefined && port.length > 1 && port.length !== hostname.length)
      fault(['port'], `one port is expected, or one for each of the ${hostname.length} hosts`);
    if (value.url !== undefined) {
      for (const key of ['hostname', 'port', 'database', 'username', 'password'] as const) {
        if (value[key] !== undefined) fault([key], 'this stands in url already: give one of the two');
      }
      for (const key of ['channel_binding', 'require_auth', 'service'] as const) {
        if (value[key] !== undefined && value.url[key] !== undefined)
          fault([key], 'this stands in url already: give one of the two');
      }
    }
    const given = PASSWORD_KEYS.filter((key) => value[key] !== undefined && value[key] !== false);
    if (value.url?.password !== undefined && given[0] !== undefined && given[0] !== 'password')
      fault([given[0]], 'url has a password already: give one of the two');
    if (given.length > 1) fault([given[1]!], `${given.join(' and ')} are different passwords: keep one`);
    for (const key of ['slot', 'publication'] as const) {
      const older = `${key}_name` as const;
      if (value[key] === undefined && value[older] === undefined) fault([key, 'name'], 'this is missing');
      if (value[key] !== undefined && value[older] !== undefined)
        fault([older], `this stands in ${key}.name already`);
    }
    if (value.barrier_timeout !== undefined && value.barrier === undefined)
      fault(['barrier_timeout'], 'barrier is needed beside barrier_timeout');
    if (value.tls !== undefined && value.ssl !== undefined)
      fault(['ssl'], 'tls says this already: give one of the two');
    const ofUrl = TLS_OF_URL.find((key) => value.url?.[key] !== undefined);
    if ((value.tls ?? value.ssl) !== undefined && ofUrl !== undefined) {
      fault(['url'], `its ${ofUrl} and the tls block contradict each other: give one of the two`);
    }
  }, ALWAYS)
  .transform(({ slot_name, publication_name, ...written }) => ({
    ...written,
    // The checks above have seen to it that each is there in one of its spellings.
    slot: written.slot ?? slot.parse({ name: slot_name }),
    publication: written.publication ?? publication.parse({ name: publication_name }),
  }));

const PASSWORD_KEYS = ['password', 'password_file', 'password_command', 'rds_iam'] as const;
/** Of a URL: what a tls block says too. */
const TLS_OF_URL = ['sslmode', 'sslnegotiation'] as const;

/** A database, checked and read. What of it is left to libpq's surroundings is not in it. */
export type WrittenDatabase = z.output<typeof databaseSchema>;

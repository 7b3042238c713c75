// The schema of one entry of `databases` in tailrace.yaml.
import { z } from 'zod';
import {
  byteSize,
  connectionUrl,
  hostList,
  ignored,
  nonEmpty,
  resourceName,
  secret,
  slotName,
  timerDuration,
} from './parts.ts';

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
    ca: nonEmpty()
      .optional()
      .describe(
        "Certificate authorities: a PEM file, relative to this file, or the PEM text. Default: the system's.",
      ),
    cert: nonEmpty().optional().describe('Client certificate: a PEM file or text.'),
    key: secret(nonEmpty()).optional().describe('Key of the client certificate: a PEM file or text.'),
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
    .describe('When Tailrace creates the slot: as one that standbys can take over (Postgres 17 and newer).'),
});

const publication = z.strictObject({
  name: nonEmpty().describe('The publication.'),
  create_if_not_exists: z
    .boolean()
    .default(false)
    .describe(
      "Create the publication at start when it is missing, listing the sinks' tables by name; tables made later are added.",
    ),
  init_sql: nonEmpty().optional().describe('SQL that creates the publication instead; runs as given.'),
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

export const databaseSchema = z
  .strictObject({
    name: resourceName().describe('Name of this database here; sinks refer to it.'),
    hostname: hostList()
      .optional()
      .describe(
        'Host, or several (a list, or separated by commas): the primary is found, and followed after a failover.',
      ),
    port: z
      .int()
      .min(1)
      .max(65_535)
      .optional()
      .describe('Port of the hosts that name none.')
      .meta({ default: DATABASE_DEFAULTS.port }),
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
        'All of the above in one: `postgres://user:password@host-1,host-2:5433/database?sslmode=verify-full`.',
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
    annotations: z
      .record(z.string(), z.unknown())
      .default({})
      .describe("Handed on in every message's metadata."),
    pool_size: ignored('Tailrace needs few connections and no pool'),
    await_database: ignored('Tailrace keeps trying until the database answers'),
    ipv6: ignored('both address families are tried'),
    tables: ignored('the publication and the sinks say which tables are read'),
  })
  .superRefine((value, context) => {
    const fault = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (value.url === undefined) {
      if (value.hostname === undefined) fault(['hostname'], 'this is missing (hostname, or url)');
      if (value.database === undefined) fault(['database'], 'this is missing (database, or url)');
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
  }, ALWAYS);

/** A database, checked and read. */
export type DatabaseConfig = z.output<typeof databaseSchema>;

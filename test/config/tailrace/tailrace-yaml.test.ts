import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/config/file/faults.ts';
import { redact } from '../../../src/config/redact.ts';
import { formats } from '../../../src/formats/registry.ts';
import { faultLines, faultsOf, loadFiles, loadText } from '../load-config.ts';

const minimal = `
databases:
  - name: shop
    hostname: localhost
    database: shop
    slot: { name: tailrace }
    publication: { name: tailrace }
sinks:
  - name: users
    database: shop
    source: { include_tables: [public.users] }
    destination: { type: sqs, queue_name: users.fifo }
`;

const withDatabase = (lines: string): string =>
  minimal.replace('    database: shop\n    slot', () => `    database: shop\n${lines}\n    slot`);
const withSink = (lines: string): string => minimal.replace('    destination', `${lines}\n    destination`);

const PEM = '-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n';

describe('a short file', () => {
  test('gets every default that the documentation promises', async () => {
    const { settings, notes, source } = await loadText(minimal);
    expect(source).toBe('tailrace.yaml');
    expect(notes).toEqual([]);
    expect(settings).toMatchObject({
      dataDir: '/srv/tailrace-data',
      state: { file: '/srv/tailrace-data/tailrace.db' },
      deadLetters: { retentionMs: 30 * 86_400_000, maxCount: 100_000, maxBytes: 1024 ** 3 },
      api: { listen: { host: '127.0.0.1', port: 7376, explicit: false }, tokens: [] },
      metrics: { listen: { host: '127.0.0.1', port: 8376, explicit: false } },
      log: { retentionMs: 86_400_000, maxBytes: 0, minFreeBytes: 1024 ** 3, maxMessageBytes: 64 * 1024 ** 2 },
      logLevel: 'info',
      databases: [
        {
          hosts: [{ host: 'localhost', port: 5432 }],
          username: 'postgres',
          tls: { mode: 'prefer' },
          slot: { createIfNotExists: false, ack: 'auto', maxRetainedBytes: 128 * 1024 ** 2 },
          publication: { createIfNotExists: false, refreshIntervalMs: 10_000 },
          markers: { skip: false },
          maxConnectionRetries: 0,
        },
      ],
      sinks: [
        {
          selection: { includeTables: [{ schema: ['public'], table: ['users'] }] },
          tables: [],
          keyChanges: 'update',
          ignoreMarkers: false,
          actions: ['insert', 'update', 'delete'],
          format: 'sequin',
          values: formats.sequin.values,
          sameGroup: 'strict',
          messageGrouping: true,
          destination: { type: 'sqs', config: { type: 'sqs', queue_name: 'users.fifo' } },
        },
      ],
    });
    expect(settings.sinks[0]).not.toHaveProperty('maxRetryCount');
  });
});

describe('faults', () => {
  test('are told all at once, each where it stands', async () => {
    const text = `databases:
  - name: shop
    hostname: localhost
    databse: shop
    slot: { name: tailrace, max_retained: 12 parsecs }
    publication: { name: tailrace }
    tls: { ca: nowhere.pem }
sinks:
  - name: users
    database: shpo
    format: debezum
    destination: { type: sqs, queue_nam: q, group_id: "\${%tble%}" }
  - name: users
    database: shop
    where: x >
    budget: 1GB
    destination: { type: kafka }
api: { listen: "0.0.0.0:7376" }
colour: blue
`;
    expect(await faultLines(loadText(text))).toEqual([
      '2:5 databases[shop].database this is missing (database, or url)',
      '4:5 databases[shop].databse unknown key',
      '5:43 databases[shop].slot.max_retained a size is expected, such as 64KB, 128MB or 10GB',
      '7:16 databases[shop].tls.ca there is no file /srv/nowhere.pem',
      '10:15 sinks[users].database there is no database called "shpo"',
      '11:13 sinks[users].format "debezum" is not known here',
      expect.stringMatching(/^12:5 sinks\[users\]\.destination\.queue_name no queue/),
      '12:31 sinks[users].destination.queue_nam unknown key',
      '12:55 sinks[users].destination.group_id group id template "${%tble%}": there is no macro %tble%',
      '13:11 sinks[users].name another of the sinks is called "users" already',
      '15:15 sinks[users].where syntax error at or near ")"',
      '16:5 sinks[users].budget this version does not have this yet',
      '17:26 sinks[users].destination.type this version does not have "kafka" yet',
      expect.stringMatching(
        /^18:16 api\.listen the API may not listen on 0\.0\.0\.0, beyond loopback, without a token/,
      ),
      '19:1 colour unknown key',
    ]);
  });

  test('name the nearest key, or the ones that are allowed (C256)', async () => {
    const faults = await faultsOf(loadText(`${minimal}snks: []\ncolour: blue\n`));
    expect(faults[0]).toMatchObject({ path: 'snks', nearest: 'sinks' });
    expect(faults[1]?.allowed).toContain('databases');
  });

  test('are one line each in the error: place, path, message', async () => {
    const error = await loadText(`${minimal}lg: {}\n`).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).message).toBe('tailrace.yaml:13:1  lg  unknown key; did you mean "log"?');
  });

  test('of YAML itself have a place too', async () => {
    expect(await faultLines(loadText('databases:\n  - name: a\n   b: [\n'))).toContainEqual(
      expect.stringMatching(/^3:/),
    );
    expect(await faultLines(loadText('log: {}\n---\nlog: {}\n'))).toEqual([
      '2:1  another YAML document begins here: the configuration is one, so keep one of them and leave out the ---',
    ]);
    expect(await faultLines(loadText('log: {}\nlog: {}\n'))).toContain('2:1 log this key is here twice');
    expect(await faultLines(loadText('# nothing\n'))).toEqual(['1:1  this file is empty']);
    expect(await faultLines(loadText('- a\n'))).toEqual(['1:1  a mapping of keys is expected here']);
  });

  test('never repeat a secret (C256)', async () => {
    const text = withDatabase(
      '    url: postgres://me:hunter2@host/shop?sslmode=never\n    password: [hunter2]',
    );
    const error = (await loadText(text).catch((reason: unknown) => reason)) as ConfigError;
    expect(error.faults.length).toBeGreaterThan(1);
    expect(JSON.stringify(error.faults)).not.toContain('hunter2');
  });

  test.each([
    [
      'a star alone, which could be all of one schema or of all',
      withSink('').replace('public.users', '"*"'),
      'a table is named schema.table',
    ],
    ['a list of no tables', withSink('').replace('public.users', ''), 'this list is empty'],
    [
      'a table that is named twice',
      withSink('').replace('public.users', 'users, public.users'),
      'public.users is named twice',
    ],
    [
      'a table that is kept out again',
      withSink('').replace('[public.users]', '[public.users], exclude_tables: ["*.users"]'),
      'public.users is in exclude_tables too',
    ],
    [
      'a table of an excluded schema',
      withSink('').replace('[public.users]', '[public.users], exclude_schemas: ["p*"]'),
      'public.users is in a schema of exclude_schemas',
    ],
    [
      'a table beside the included schemas',
      withSink('').replace('[public.users]', '[public.users], include_schemas: [shop]'),
      'public.users is in no schema of include_schemas',
    ],
    [
      'options of a pattern that no table of the sink fits',
      withSink('    tables: [{ name: "shop.*" }]'),
      'shop.* is not among the tables that this sink reads',
    ],
    [
      'an action of a table that the sink does not want',
      withSink('    tables: [{ name: users, actions: [truncate] }]'),
      "truncate is not among the sink's actions",
    ],
    [
      'split key changes where nobody wants deletes',
      withSink('    key_changes: split\n    actions: [insert, update]'),
      "split sends deletes, which are not among the sink's actions",
    ],
    [
      'a table option for a table that the sink does not read',
      withSink('    tables: [{ name: orders }]'),
      'public.orders is not among the tables that this sink reads',
    ],
    [
      'group columns where grouping is off',
      withSink('    message_grouping: false\n    tables: [{ name: users, group_column_names: [a] }]'),
      'contradicts `message_grouping: false`',
    ],
    [
      'a commit time column in the sequin format',
      withSink('    commit_time_column: at'),
      'this needs `format: pg2sqs`',
    ],
    ['both spellings of the slot', withDatabase('    slot_name: other'), 'this stands in slot.name already'],
    ['tls beside ssl', withDatabase('    ssl: true\n    tls: { mode: require }'), 'tls says this already'],
    [
      'a client certificate without its key',
      withDatabase(`    tls: { cert: "${PEM.replaceAll('\n', '\\n')}" }`),
      'tls.key is needed beside tls.cert',
    ],
    ['an upper-case slot name', minimal.replace('name: tailrace', 'name: Tailrace'), 'lower-case letters'],
    ['an empty token', `${minimal}api: { tokens: [""] }\n`, 'this is empty'],
    ['a token from a file', `${minimal}api: { tokens: ["tok\\n"] }\n`, 'it ends with a line break'],
    ['a role from a file', withDatabase('    username: "tailrace\\n"'), 'username it ends with a line break'],
    [
      'the name of a database from a file',
      minimal.replace('database: shop\n', 'database: "shop\\r\\n"\n'),
      'database it ends with a line break',
    ],
    [
      'a publication from a file',
      minimal.replace(/(publication: \{ name: )\w+/, '$1"tailrace\\n"'),
      'publication.name it ends with a line break',
    ],
    [
      'an AWS profile from a file',
      withDatabase('    rds_iam: { profile: "shop\\n" }'),
      'rds_iam.profile it ends with a line break',
    ],
    ['a token that no header holds', `${minimal}api_tokens: [{ name: a, token: tök }]\n`, 'U+00F6'],
    ['a stop that a timer cannot wait for', `${minimal}shutdown_timeout: 30d\n`, 'below 24 days'],
    ['a duration without a unit', `${minimal}log: { retention: 24 }\n`, 'a duration with its unit'],
    ['a state store of another kind', `${minimal}state: { url: "postgres://x" }\n`, 'only sqlite:FILE'],
    ['a function', withSink('    transform: mine'), 'transforms are not in this version yet'],
    ['no queue', minimal.replace(', queue_name: users.fifo', ''), 'no queue'],
  ])('say what is wrong with %s', async (_what, text, message) => {
    expect(await faultLines(loadText(text))).toEqual([expect.stringContaining(message)]);
  });

  test('an option of a table that is misspelt names the nearest table of the sink', async () => {
    const [fault] = await faultsOf(loadText(withSink('    tables: [{ name: usres }]')));
    expect(fault).toMatchObject({ path: 'sinks[users].tables[usres].name', nearest: 'public.users' });
  });
});

describe('hosts', () => {
  const hostsOf = async (hostname: string, port?: string) => {
    const text = withDatabase(port === undefined ? '' : `    port: ${port}`);
    const { settings } = await loadText(text.replace('hostname: localhost', `hostname: ${hostname}`));
    return settings.databases[0]!.hosts.map(({ host, port }) => `${host} ${port}`);
  };

  test('are several, each with its port or with the one for all, and IPv6 addresses in brackets or alone', async () => {
    expect(await hostsOf('db-1,db-2')).toEqual(['db-1 5432', 'db-2 5432']);
    expect(await hostsOf('"db-1:5433, db-2"', '6432')).toEqual(['db-1 5433', 'db-2 6432']);
    expect(await hostsOf('"[::1]:5433,[fe80::2],::3"')).toEqual(['::1 5433', 'fe80::2 5432', '::3 5432']);
    expect(await hostsOf('[db-1, db-2]', '5432,5433')).toEqual(['db-1 5432', 'db-2 5433']);
  });

  test('that are not as many as their ports are a fault, and so is a port that there is none of', async () => {
    expect(await faultLines(hostsOf('db-1,db-2', '5432,5433,5434'))).toEqual([
      '6:11 databases[shop].port one port is expected, or one for each of the 2 hosts',
    ]);
    expect(await faultLines(hostsOf('db-1', '5432,0'))).toEqual([
      '6:11 databases[shop].port a port from 1 to 65535 is expected, or one for each host, as in 5432,5433',
    ]);
  });
});

describe('variables', () => {
  test('stand in any value, with defaults as in a shell, whatever type the value has', async () => {
    const text = withDatabase(
      '    port: ${DB_PORT:-5433}\n    password: "${DB_PASSWORD}"\n    username: ${DB_USER:-app}',
    ).replace('hostname: localhost', 'hostname: "${DB_HOST}-1,${DB_HOST}-2"');
    const { settings } = await loadText(text, { DB_HOST: 'db', DB_PASSWORD: '0123: [x', DB_USER: '' });
    expect(settings.databases[0]).toMatchObject({
      hosts: [
        { host: 'db-1', port: 5433 },
        { host: 'db-2', port: 5433 },
      ],
      password: '0123: [x',
      username: 'app',
    });
  });

  test('that are not set and have no default are faults where they are used', async () => {
    const text = withDatabase('    password: "${DB_PASSWORD}"');
    expect(await faultLines(loadText(text))).toEqual([
      '6:15 databases[shop].password the variable DB_PASSWORD is not set; set it, or give a default: ${DB_PASSWORD:-value}',
    ]);
  });

  test('are not replaced in a group id, nor where the dollar is doubled', async () => {
    const text = withDatabase('    password: "$${PATH}"').replace(
      'users.fifo',
      'users.fifo, group_id: "${%table%}-${PATH}"',
    );
    const { settings } = await loadText(text, { PATH: '/bin' });
    expect(settings.databases[0]?.password).toBe('${PATH}');
    expect(settings.sinks[0]?.destination.config).toMatchObject({ group_id: '${%table%}-${PATH}' });
  });

  test('a number is a text where a text is wanted, digit for digit', async () => {
    const { settings } = await loadText(withDatabase('    password: 007'));
    expect(settings.databases[0]?.password).toBe('007');
  });
});

describe('anchors', () => {
  test('may stand in top-level keys of any name, and merge into sinks', async () => {
    const text = minimal
      .replace(
        'sinks:',
        'base: &base { database: shop, actions: [insert], status: paused }\nx-more: { anything: 1 }\nsinks:',
      )
      .replace('    database: shop\n    source', '    <<: *base\n    status: active\n    source');
    const { settings } = await loadText(text);
    expect(settings.sinks[0]).toMatchObject({ database: 'shop', actions: ['insert'], status: 'active' });
  });

  test('that nothing uses are passed over with a note, unless the key is nearly a known one', async () => {
    const { notes } = await loadText(`${minimal}base: &base { a: &inner 1, b: *inner }\n`);
    expect(notes).toEqual(['base is passed over: nothing uses its anchors']);
    expect(await faultsOf(loadText(`${minimal}snks: [&a { name: b }, { <<: *a }]\n`))).toMatchObject([
      { line: 13, column: 1, path: 'snks', message: 'unknown key', nearest: 'sinks' },
    ]);
    expect(await faultLines(loadText(`${minimal}base: { a: 1 }\n`))).toEqual(['13:1 base unknown key']);
  });

  test('that multiply a file beyond measure, or refer to themselves, are faults', async () => {
    const bomb = [
      'a: &a [x, x, x, x, x, x, x, x, x, x]',
      ...'bcdefg'.split('').map((name, i) => `${name}: &${name} [${`*${'abcdef'[i]}, `.repeat(10)}]`),
    ];
    const text = `${minimal}x-bomb:\n  ${bomb.join('\n  ')}\nlog: *g\n`;
    expect(await faultLines(loadText(text))).toContainEqual(
      expect.stringContaining('aliases multiply this beyond measure'),
    );
    expect(await faultLines(loadText(`${minimal}log: &l { retention: *l }\n`))).toContainEqual(
      expect.stringContaining('nested deeper than 64 levels, or refers to itself'),
    );
    const merges = 'abcdefghij'.split('').map((name, i, names) => {
      const merged = i === 0 ? '{ x: 1 }' : `{ <<: [${`*${names[i - 1]}, `.repeat(10)}] }`;
      return `x-${name}: &${name} ${merged}\n`;
    });
    expect(await faultLines(loadText(`${minimal}${merges.join('')}log: { <<: *j }\n`))).toContainEqual(
      expect.stringContaining('aliases multiply this beyond measure'),
    );
    expect(await faultLines(loadText(`${minimal}log: { <<: &l [*l] }\n`))).toContainEqual(
      expect.stringContaining('"<<" merges a mapping'),
    );
    expect(await faultLines(loadText(`${minimal}log: { <<: &l [*l, *l, *l] }\n`))).toContainEqual(
      expect.stringContaining('aliases multiply this beyond measure'),
    );
    expect(await faultLines(loadText(`${minimal}log: &l { <<: *l }\n`))).toContainEqual(
      expect.stringContaining('merged into itself'),
    );
  });
});

describe('TLS', () => {
  /** Read again for each connection. */
  const CA_FILE = { from: 'file', file: '/srv/ca.pem' };
  const tlsOf = async (lines: string) =>
    (await loadFiles({ '/srv/tailrace.yaml': withDatabase(lines), '/srv/ca.pem': PEM })).settings.databases[0]
      ?.tls;

  test.each([
    ['    tls: {}', { mode: 'verify-full' }],
    ['    tls: { ca: ca.pem }', { mode: 'verify-full', ca: CA_FILE }],
    ['    tls: { mode: require }', { mode: 'require' }],
    ['    ssl: true', { mode: 'require' }],
    ['    ssl: false', { mode: 'disable' }],
    ['', { mode: 'prefer' }],
  ])('"%s" means what the documentation says', async (lines, tls) => {
    expect(await tlsOf(lines)).toEqual(tls);
  });

  test('of a URL is what libpq makes of it', async () => {
    const text = minimal.replace(
      '    hostname: localhost\n    database: shop\n',
      '    url: postgres://me:pw@db:5433/shop?sslmode=require&sslrootcert=ca.pem\n',
    );
    const { settings } = await loadFiles({ '/srv/tailrace.yaml': text, '/srv/ca.pem': PEM });
    expect(settings.databases[0]).toMatchObject({
      hosts: [{ host: 'db', port: 5433 }],
      database: 'shop',
      username: 'me',
      password: 'pw',
      tls: { mode: 'verify-ca', ca: CA_FILE },
    });
  });

  test('that does not verify a host elsewhere is one note; this machine needs none', async () => {
    const remote = minimal.replace('localhost', 'db-1,db-2');
    expect((await loadText(remote)).notes).toEqual([expect.stringMatching(/TLS mode "prefer".*db-1, db-2/)]);
    expect((await loadText(withDatabase('    tls: {}').replace('localhost', 'db'))).notes).toEqual([]);
  });
});

describe('a file of Sequin', () => {
  const sequin = `
account: { name: acme }
users: [{ email: a@example.com, password: secret }]
api_tokens: [{ name: t, token: 12345 }]
databases:
  - name: my-database
    hostname: "\${DB_HOST:-localhost}"
    port: "5432"
    database: shop
    pool_size: 10
    slot_name: sequin_slot
    publication_name: sequin_pub
    await_database: { timeout_ms: 30000 }
sinks:
  - name: my-sink
    database: my-database
    table: users
    group_column_names: [account_id]
    batch_size: 5
    transform: none
    timestamp_format: iso8601
    destination:
      type: sqs
      queue_url: https://sqs.us-west-2.amazonaws.com/123456789012/users.fifo
      access_key_id: AKIA
      secret_access_key: secret
`;

  test('is read in its older spellings, and what means nothing is noted once each', async () => {
    const { settings, notes } = await loadText(sequin);
    expect(settings.databases[0]).toMatchObject({
      slot: { name: 'sequin_slot' },
      publication: { name: 'sequin_pub' },
    });
    expect(settings.sinks[0]).toMatchObject({
      selection: { includeTables: [{ schema: ['public'], table: ['users'] }] },
      tables: [{ pattern: { schema: ['public'], table: ['users'] }, groupColumns: ['account_id'] }],
      batchSize: 5,
    });
    expect(settings.api.tokens).toEqual(['12345']);
    expect(notes.map((note) => note.split(' ')[0])).toEqual([
      'account',
      'users',
      'databases[my-database].pool_size',
      'databases[my-database].await_database',
    ]);
  });
});

test.each([
  ['', 'pause'],
  ['    load_shedding_policy: pause_on_full', 'pause'],
  ['    load_shedding_policy: discard_on_full', 'discard'],
])('a sink that is behind gives up its changes only where that is written: %j', async (line, policy) => {
  expect((await loadText(withSink(line))).settings.sinks[0]!.loadShedding).toBe(policy);
});

test('what becomes of a changed key is what the sink says', async () => {
  expect((await loadText(withSink('    key_changes: split'))).settings.sinks[0]!.keyChanges).toBe('split');
});

test('of the options of a table the sink’s own come before patterns, and what they say before the older spelling', async () => {
  const sinkOf = (tables: string): string =>
    minimal.replace(
      '    source: { include_tables: [public.users] }',
      `    table: users\n    group_column_names: [older]\n    tables: ${tables}`,
    );
  const groups = async (tables: string): Promise<unknown> =>
    (await loadText(sinkOf(tables))).settings.sinks[0]!.tables.map(({ groupColumns, columns }) => [
      groupColumns,
      columns,
    ]);
  expect((await groups('[{ name: users, columns: [a, older] }]')) as unknown[]).toMatchObject([
    [['older'], ['a', 'older']],
    [undefined, ['a', 'older']],
  ]);
  expect((await groups('[{ name: users, group_column_names: [own] }]')) as unknown[]).toMatchObject([
    [['own'], undefined],
    [['own'], undefined],
  ]);
});

describe('settings from around the file', () => {
  test('the data directory is the argument, else the variable, else beside us', async () => {
    const files = { '/srv/tailrace.yaml': minimal };
    const env = { TAILRACE_DATA_DIR: '/var/lib/tailrace' };
    expect((await loadFiles(files, { env, dataDir: 'here' })).settings.dataDir).toBe('/srv/here');
    expect((await loadFiles(files, { env })).settings.state.file).toBe('/var/lib/tailrace/tailrace.db');
  });

  test('an API beyond loopback needs a token, wherever the address comes from', async () => {
    const env = { TAILRACE_API_LISTEN: '0.0.0.0:7376' };
    expect(await faultsOf(loadText(minimal, env))).toMatchObject([{ path: 'TAILRACE_API_LISTEN' }]);
    const { settings } = await loadText(`${minimal}api: { tokens: [t] }\n`, env);
    expect(settings.api.listen).toEqual({ host: '0.0.0.0', port: 7376, explicit: true });
    const older = await loadText(`${minimal}api_tokens: [{ name: n, token: t }]\n`, env);
    expect(older.settings.api).toMatchObject({ listen: { host: '0.0.0.0' }, tokens: ['t'] });
  });

  test('metrics may listen anywhere, or not at all', async () => {
    expect(
      (await loadText(minimal, { TAILRACE_METRICS_LISTEN: '0.0.0.0:0' })).settings.metrics.listen,
    ).toMatchObject({ host: '0.0.0.0', port: 0 });
    expect((await loadText(`${minimal}metrics: { listen: off }\n`)).settings.metrics.listen).toBe('off');
  });
});

test('a group id that names no column is noted', async () => {
  const { notes } = await loadText(minimal.replace('users.fifo', 'users.fifo, group_id: all'));
  expect(notes).toEqual([
    expect.stringContaining('sinks[users].destination.group_id: "all" names no column'),
  ]);
});

test('settings that are shown have no secret left in them', async () => {
  const text = withDatabase('    password: hunter2')
    .replace(
      'users.fifo',
      'users.fifo, access_key_id: AKIA, secret_access_key: hunter2, session_token: hunter2',
    )
    .concat('api: { tokens: [hunter2] }\n');
  const { settings } = await loadText(text);
  expect(JSON.stringify(settings)).toContain('hunter2');
  const shown = JSON.stringify(redact(settings));
  expect(shown).not.toContain('hunter2');
  expect(shown).toContain('users.fifo');
});

test('what a sink’s schema does not know is not shown', async () => {
  const { settings } = await loadText(minimal);
  const [sink] = settings.sinks;
  const config = { ...(sink!.destination.config as object), handed_over: 'hunter2' };
  const stranger = { ...settings, sinks: [{ ...sink!, destination: { type: 'sqs', config } }] };
  expect(redact(stranger).sinks[0]!.destination.config).toMatchObject({
    queue_name: 'users.fifo',
    handed_over: '***',
  });
});

describe('a pull stream', () => {
  const streamOf = (destination: string): string =>
    minimal.replace(/destination: .*/, `destination: ${destination}`);

  test.each(['sequin_stream', 'stream'])('is one sink, also written %s', async (type) => {
    const { settings } = await loadText(streamOf(`{ type: ${type}, max_waiting: 5 }`));
    expect(settings.sinks[0]?.destination).toMatchObject({
      type: 'stream',
      config: { visibility_timeout_ms: 30_000, max_ack_pending: 10_000, max_waiting: 5 },
    });
  });

  test('has its faults where they stand, whatever it is called', async () => {
    for (const type of ['sequin_stream', 'stream']) {
      const loading = loadText(streamOf(`{ type: ${type}, max_waitin: 5, visibility_timeout_ms: 10 }`));
      expect(await faultLines(loading)).toEqual([
        expect.stringContaining('sinks[users].destination.max_waitin unknown key'),
        expect.stringContaining('sinks[users].destination.visibility_timeout_ms'),
      ]);
    }
  });
});

import { describe, expect, test } from 'vitest';
import { faultLines, faultsOf, loadText } from '../load-config.ts';

const RECORD =
  'id: 7f1c, account_id: 9b2e, inserted_at: "2025-11-03T08:00:00Z", updated_at: 2025-11-04T09:30:00Z';

/** What the console exports, in every shape that it has: empty values, records of its database, defaults written out. */
const exported = `---
account: { id: acc, name: Parcel Post }
users: [{ id: u, email: ops@example.com, password: "s*****t" }]
api_tokens: [{ id: t, name: ci, token: 987654 }]
change_retentions: []
functions: []
transforms:
databases:
  - name: parcels
    ${RECORD.replaceAll(', ', '\n    ')}
    username: reader
    password: 00123
    hostname: localhost
    port: 5432
    database: parcels_production
    slot:
      name: parcel_slot
    publication:
      name: parcel_pub
      schemas: ["public", "Depot"]
    pool_size: 10
    queue_interval: 50
    queue_target: 100
    ssl: false
    ipv6: false
    use_local_tunnel: false
    primary: null
    annotations: {}
    tables: []
http_endpoints:
  - name: tracking
    ${RECORD.replaceAll(', ', '\n    ')}
    url: http://localhost:8080/changes
    path:
    local: false
    webhook.site: "false"
    headers: { X-Api-Version: 2, X-Ratio: 1.50, X-Live: true, X-Name: parcel }
    encrypted_headers:
      - { key: X-Key, value: 0042 }
  - name: bare
    url: http://localhost:8081
    headers: []
    encrypted_headers: {}
sinks:
  - name: scans
    ${RECORD.replaceAll(', ', '\n    ')}
    replication_slot_id: 4d
    sequence_id: 5e
    database: parcels
    status: active
    message_kind: event
    consumer_start: { position: beginning }
    active_backfill:
    active_backfills: []
    initial_backfill: false
    filters: []
    filter: none
    transform: none
    routing: none
    enrichment: none
    timestamp_format: iso8601
    batch_size: 1
    max_retry_count:
    load_shedding_policy: pause_on_full
    message_grouping: "true"
    annotations:
    health: { name: Consumer health, status: healthy, checks: [] }
    actions: [insert, update, delete]
    source:
      include_schemas:
      exclude_schemas:
      include_tables: [public.scan events, public.scans.archive.2024, Depot.Stock Levels, plain]
      exclude_tables: []
    tables:
      - { name: public.scan events, group_column_names: [] }
      - { name: public.scans.archive.2024, group_column_names: }
      - { name: Depot.Stock Levels, group_column_names: [depot_id] }
    destination:
      type: webhook
      http_endpoint: tracking
      http_endpoint_path: ""
      batch: false
  - name: depots
    database: parcels
    schema: Depot
    active_backfills: [{ id: 1, state: active, table: Depot.Stock Levels }]
    initial_backfill: []
    filters:
    tables:
    group_column_names: []
    message_grouping: false
    source:
    destination: { type: sequin_stream }
  - name: ungrouped
    database: parcels
    table: scans
    message_grouping: "false"
    tables: [{ name: scans, group_column_names: [] }]
    destination:
      type: sqs
      queue_url: https://sqs.eu-west-1.amazonaws.com/123456789012/scans
      region: eu-west-1
      is_fifo: false
      use_task_role: false
      use_emulator: false
      emulator_base_url:
      access_key_id: AKIAEXAMPLE
      secret_access_key: secret
  - name: topic
    database: parcels
    destination:
      type: sns
      topic_arn: arn:aws:sns:eu-west-1:123456789012:scans.fifo
      region: eu-west-1
      is_fifo: true
      use_task_role: true
      use_emulator: false
`;

describe('what the console exports', () => {
  test('is accepted in every shape that it has', async () => {
    const { settings } = await loadText(exported);
    expect(settings.databases[0]).toMatchObject({
      name: 'parcels',
      password: '00123',
      tls: { mode: 'disable' },
    });
    expect(settings.api.tokens).toEqual(['987654']);
    const [scans, depots, ungrouped, topic] = settings.sinks;
    expect(scans).toMatchObject({
      messageGrouping: true,
      annotations: {},
      selection: {
        includeTables: [
          { schema: ['public'], table: ['scan events'] },
          { schema: ['public'], table: ['scans.archive.2024'] },
          { schema: ['Depot'], table: ['Stock Levels'] },
          { schema: ['public'], table: ['plain'] },
        ],
      },
    });
    expect(scans).not.toHaveProperty('maxRetryCount');
    expect(scans!.tables.map(({ groupColumns }) => groupColumns)).toEqual([
      undefined,
      undefined,
      ['depot_id'],
    ]);
    expect(depots!.selection).toEqual({ includeSchemas: [['Depot']] });
    expect(ungrouped).toMatchObject({ messageGrouping: false, tables: [{}] });
    expect(topic!.selection).toEqual({});
  });

  test('has headers whose numbers and truths are texts, digit for digit', async () => {
    const { settings } = await loadText(exported);
    const { encrypted_headers: headers } = settings.sinks[0]!.destination.config as {
      encrypted_headers: { key: string; value: string }[];
    };
    expect(headers).toEqual([
      { key: 'X-Api-Version', value: '2' },
      { key: 'X-Ratio', value: '1.50' },
      { key: 'X-Live', value: 'true' },
      { key: 'X-Name', value: 'parcel' },
      { key: 'X-Key', value: '0042' },
    ]);
  });

  test('is noted where it means nothing here, once for each reason', async () => {
    const { notes } = await loadText(exported);
    const ignored = notes.filter((note) => note.includes('accepted without effect'));
    expect(ignored).toEqual([
      'account is accepted without effect: Tailrace has no accounts',
      'users is accepted without effect: Tailrace has no users',
      expect.stringMatching(
        /^api_tokens\[ci\]\.id, databases\[parcels\]\.id, .* and 9 more are accepted .*: names/,
      ),
      'databases[parcels].publication.schemas is accepted without effect: a publication of our own lists the tables that sinks want',
      'databases[parcels].pool_size, databases[parcels].queue_interval, databases[parcels].queue_target are accepted without effect: Tailrace needs few connections and no pool',
      'databases[parcels].ipv6 is accepted without effect: both address families are tried',
      'databases[parcels].tables is accepted without effect: the publication and the sinks say which tables are read',
      expect.stringMatching(/^sinks\[scans\]\.replication_slot_id is/),
      expect.stringMatching(/^sinks\[scans\]\.sequence_id is/),
      expect.stringMatching(/^sinks\[scans\]\.message_kind is/),
      'sinks[scans].consumer_start is accepted without effect: `start` says where a new sink begins',
      expect.stringMatching(
        /^sinks\[scans\]\.active_backfills, sinks\[scans\]\.health, sinks\[depots\]\.active_backfills are/,
      ),
    ]);
  });

  test('says so where its secrets are masked, and repeats none', async () => {
    const text = exported
      .replace('password: 00123', 'password: hun******2')
      .replace('secret_access_key: secret', 'secret_access_key: "*****"')
      .replace('value: 0042', 'value: Bearer to*****n');
    const { notes } = await loadText(text);
    expect(notes.filter((note) => note.includes('masked'))).toEqual([
      'databases[parcels].password, http_endpoints[tracking].encrypted_headers, sinks[ungrouped].destination.secret_access_key look masked: export it again with show-sensitive=true, or write the secret',
    ]);
    expect(JSON.stringify(notes)).not.toContain('hun*');
    expect((await loadText(exported)).notes.filter((note) => note.includes('masked'))).toEqual([]);
  });

  test.each([
    [
      'use_local_tunnel: false',
      'use_local_tunnel: true',
      "Sequin Cloud's tunnels are not here: write hostname, or url",
    ],
    [
      'functions: []',
      'functions: [{ name: f, type: routing, sink_type: webhook, code: "def route" }]',
      'functions of the type "routing" are not in this version yet',
    ],
    ['transforms:', 'transforms: [{ name: f }]', 'the type of this function is missing'],
    ['change_retentions: []', 'change_retentions: [{ name: a }]', 'this version does not have this yet'],
    ['filters: []', 'filters: [{ column_name: a }]', 'this version does not have this yet'],
    ['path:\n', 'path: /hook\n', 'write the path into url'],
    ['local: false', 'local: "true"', "Sequin Cloud's tunnels are not here: write url"],
    ['schema: Depot', 'schema: Depot\n    table: plain', 'table says this already: give one of the two'],
  ])('is an error at its key where it asks for what is not here: %s → %s', async (empty, asking, message) => {
    expect(exported).toContain(empty);
    const at = exported.indexOf(empty) + asking.indexOf(asking.trim());
    const line = exported.slice(0, at).split('\n').length;
    const faults = await faultsOf(loadText(exported.replace(empty, () => asking)));
    expect(faults).toEqual([expect.objectContaining({ message: expect.stringContaining(message) })]);
    expect(faults[0]!.line).toBe(line);
  });
});

const several = (sinks: string, databases = 'only'): string => `
databases:
${databases
  .split(' ')
  .map((name) => `  - { name: ${name}, hostname: localhost, database: d, slot_name: s, publication_name: p }`)
  .join('\n')}
sinks:
${sinks}
`;

test('a sink that names no database follows the only one; where there are several it is asked which', async () => {
  const sinks = '  - { name: a, destination: { type: sequin_stream } }';
  expect((await loadText(several(sinks))).settings.sinks[0]!.database).toBe('only');
  expect(await faultLines(loadText(several(sinks, 'one two')))).toEqual([
    '6:5 sinks[a].database this is missing, and there are several databases',
  ]);
});

test('a base that sinks share may stand at the top, beside one that nothing uses any more', async () => {
  const text = several(`  - <<: *shared
    name: a
    destination: { type: sequin_stream }`).replace(
    'sinks:',
    () => `shared: &shared
  schema: public
  annotations: &notes { team: post }
retired_base: &retired
  schema: old
  annotations: *notes
sinks:`,
  );
  const { settings, notes } = await loadText(text);
  expect(settings.sinks[0]).toMatchObject({
    selection: { includeSchemas: [['public']] },
    annotations: { team: 'post' },
  });
  expect(notes).toEqual(['retired_base is passed over: nothing uses its anchors']);
});

test('an unknown key of such a file still names the nearest one', async () => {
  const text = several(
    '  - { name: a, datbase: only, activ_backfills: [], destination: { type: sequin_stream } }',
  );
  expect(await faultsOf(loadText(text))).toMatchObject([
    { line: 5, column: 16, path: 'sinks[a].datbase', nearest: 'database' },
    { line: 5, column: 31, path: 'sinks[a].activ_backfills', nearest: 'active_backfills' },
  ]);
});

describe('variables', () => {
  test('are not put into code, conditions and templates, nor below them', async () => {
    const text = several(`  - name: a
    annotations: { code: { sql: "select $1, \${HOME}" }, route: { topic: { replacement: "$1.\${HOME}" } }, at: "$HOME" }
    destination: { type: sqs, queue_name: "q-$HOME", group_id: "\${%table%}$\${id}$HOME" }`);
    const { settings } = await loadText(text, { HOME: 'here' });
    expect(settings.sinks[0]).toMatchObject({
      annotations: {
        code: { sql: 'select $1, ${HOME}' },
        route: { topic: { replacement: '$1.${HOME}' } },
        at: 'here',
      },
      destination: { config: { queue_name: 'q-here', group_id: '${%table%}$${id}$HOME' } },
    });
  });

  test('in any form make a number, a truth or a text, as the key wants it', async () => {
    const text = several(`  - name: $NAME
    batch_size: \${SIZE:-7}
    message_grouping: $GROUPING
    max_retry_count: \${RETRIES:+3}
    destination: { type: sequin_stream }`);
    const env = { NAME: '0815', GROUPING: 'false', RETRIES: '' };
    expect((await loadText(text, env)).settings.sinks[0]).toMatchObject({
      name: '0815',
      batchSize: 7,
      messageGrouping: false,
      maxRetryCount: 3,
    });
  });

  test('that are not set are errors where they stand, and never tell a password', async () => {
    const text = several('  - { name: $NAME, destination: { type: sequin_stream } }').replace(
      'hostname: localhost',
      'hostname: localhost, password: "se$cret12"',
    );
    const lines = await faultLines(loadText(text));
    expect(lines).toEqual([
      expect.stringMatching(
        /^3:\d+ databases\[only\]\.password what follows the dollar sign is a variable that is not set/,
      ),
      expect.stringMatching(/^5:13 sinks\[.*\]\.name the variable NAME is not set; set it, or write \$\$/),
    ]);
    expect(lines.join()).not.toContain('cret12');
  });
});

import { expect, test } from 'vitest';
import { faultLines, loadText } from '../load-config.ts';

const sinkOf = (lines: string): string => `databases:
  - name: shop
    hostname: localhost
    database: shop
    slot: { name: tailrace }
    publication: { name: tailrace }
sinks:
  - name: users
${lines}
    destination: { type: webhook, url: "https://example.com/in" }
`;

/** Its destination is among the lines. */
const sinkWith = (lines: string): string =>
  sinkOf(lines).replace(/^ +destination: \{ type: webhook.*\n/m, '');

const TRANSACTIONS = '    format: wal2json\n    wal2json: { include-transaction: true }';

/** Of a sink that is told of transactions. */
const sqs = (destination: string): string =>
  `${TRANSACTIONS}
    destination:
      type: sqs
      ${destination}
      region: eu-west-1`;

const faultsOf = (lines: string): Promise<string[]> => faultLines(loadText(sinkOf(lines)));

test("a debezium sink takes its connector's options by their names, and tells a changed key as two messages", async () => {
  const { settings, notes } = await loadText(
    sinkOf(`    format: debezium
    debezium:
      topic.prefix: prefix
      time.precision.mode: connect
      decimal.handling.mode: string
      unwrap: true
      add.fields: op,source.ts_ms`),
  );
  const [sink] = settings.sinks;
  expect(sink).toMatchObject({
    format: 'debezium',
    keyChanges: 'split',
    formatOptions: {
      debezium: {
        'topic.prefix': 'prefix',
        'time.precision.mode': 'connect',
        'decimal.handling.mode': 'string',
        'interval.handling.mode': 'numeric',
        unwrap: true,
        'add.fields': 'op,source.ts_ms',
      },
    },
  });
  expect(notes).toEqual([]);
});

test('decimals as bytes are noted, with what would be exact text', async () => {
  const { settings, notes } = await loadText(sinkOf('    format: debezium\n    key_changes: update'));
  expect(settings.sinks[0]!.keyChanges).toBe('update');
  expect(notes).toEqual([
    expect.stringMatching(/^sink users: numeric .* decimal\.handling\.mode: string is exact text$/),
  ]);
});

test.each([
  [
    'an option of another connector',
    '    format: debezium\n    debezium: { snapshot.mode: initial }',
    /^10:17 .*snapshot\.mode unknown key/,
  ],
  [
    'a word that an option does not know',
    '    format: debezium\n    debezium: { decimal.handling.mode: exact }',
    /^10:40 .*"exact" is not known here/,
  ],
  [
    'a tombstone',
    '    format: debezium\n    debezium: { tombstones.on.delete: true }',
    /only false is possible: no sink here can carry a message that is null/,
  ],
  [
    'a field that no message has',
    '    format: debezium\n    debezium: { unwrap: true, add.fields: "op,nothing" }',
    /"nothing" is no field of these messages, which are op, .*source\.lsn/,
  ],
  [
    'fields without unwrap',
    '    format: debezium\n    debezium: { add.fields: op }',
    /add\.fields this goes with unwrap: true/,
  ],
  [
    'deletes that become tombstones',
    '    format: debezium\n    debezium: { unwrap: true, delete.tombstone.handling.mode: tombstone }',
    /only rewrite is possible.*who wants no deletes writes actions: \[insert, update\]/,
  ],
  [
    'unwrapped truncates',
    '    format: debezium\n    actions: [insert, truncate]\n    debezium: { unwrap: true }',
    /^10:14 sinks\[users\]\.actions an unwrapped message is a row/,
  ],
  [
    'messages of schemas',
    '    format: debezium\n    ddl: events',
    /^10:10 sinks\[users\]\.ddl Debezium's Postgres connector has no messages of schemas/,
  ],
  [
    'forms of values',
    '    format: debezium\n    values: { numeric: float }',
    /^10:13 sinks\[users\]\.values format debezium says by keys of its own how values are written: debezium/,
  ],
  [
    'the block with another format',
    '    debezium: { unwrap: true }',
    /^9:15 sinks\[users\]\.debezium this needs `format: debezium`/,
  ],
])('%s is a fault with its place and its cure', async (_, lines, expected) => {
  expect(await faultsOf(lines)).toEqual([expect.stringMatching(expected)]);
});

test('the format inside a cloudevents sink has its own options beside it, its forms of values and its way with keys', async () => {
  const { settings } = await loadText(
    sinkOf(`    format: cloudevents
    data_format: debezium
    debezium: { decimal.handling.mode: string }
    cloudevents: { source: /shop }`),
  );
  expect(settings.sinks[0]).toMatchObject({
    format: 'cloudevents',
    keyChanges: 'split',
    formatOptions: {
      cloudevents: { source: '/shop', content_mode: 'structured' },
      data: { format: 'debezium', options: { debezium: { 'decimal.handling.mode': 'string' } } },
    },
  });
  const flat = await loadText(
    sinkOf(
      '    format: cloudevents\n    data_format: pg2sqs\n    commit_time_column: at\n    values: { numeric: number }',
    ),
  );
  expect(flat.settings.sinks[0]).toMatchObject({
    keyChanges: 'update',
    values: { numeric: 'number', bytea: 'base64' },
    formatOptions: { data: { format: 'pg2sqs', options: { commit_time_column: 'at' } } },
  });
});

test.each([
  [
    'an option of a format that is not inside',
    '    format: cloudevents\n    debezium: { unwrap: true }',
    /debezium this needs `data_format: debezium`/,
  ],
  [
    'an envelope inside an envelope',
    '    format: cloudevents\n    data_format: cloudevents',
    /data_format "cloudevents" is not known here/,
  ],
  [
    'a fault of the format inside',
    '    format: cloudevents\n    data_format: debezium\n    ddl: events',
    /^11:10 .*no messages of schemas/,
  ],
  [
    'a source with a space',
    '    format: cloudevents\n    cloudevents: { source: "a b" }',
    /^10:28 .*a URI is expected/,
  ],
  [
    'binary mode with batches',
    '    format: cloudevents\n    cloudevents: { content_mode: binary }',
    /content_mode binary mode is one event a request: write batch: false in the destination/,
  ],
])('%s is a fault with its place and its cure', async (_, lines, expected) => {
  expect(await faultsOf(lines)).toEqual([expect.stringMatching(expected)]);
});

test("timestamps in microseconds are asked for by Sequin's key", async () => {
  const written = await loadText(sinkOf('    timestamp_format: unix_microsecond'));
  expect(written.settings.sinks[0]!.values).toMatchObject({
    timestamps: 'unix_microsecond',
    timestampDigits: 6,
  });
  expect((await loadText(sinkOf(''))).settings.sinks[0]!.values.timestamps).toBe('iso8601');
  const contradicting = '    format: debezium\n    timestamp_format: unix_microsecond';
  expect(await faultsOf(contradicting)).toEqual([
    expect.stringMatching(/^10:23 sinks\[users\]\.timestamp_format format debezium says by keys of its own/),
  ]);
});

test('binary mode is for webhooks', async () => {
  const queue = sinkOf('    format: cloudevents\n    cloudevents: { content_mode: binary }').replace(
    /destination: .*/,
    'destination: { type: sqs, queue_name: users.fifo }',
  );
  expect(await faultLines(loadText(queue))).toEqual([
    expect.stringMatching(/headers of HTTP, which only a webhook has/),
  ]);
  const single = sinkOf('    format: cloudevents\n    cloudevents: { content_mode: binary }').replace(
    'in" }',
    'in", batch: false }',
  );
  await expect(loadText(single)).resolves.toBeDefined();
  const headers = single.replace('batch: false', 'batch: false, headers: { Ce-Id: mine, x-ce-id: other }');
  expect(await faultLines(loadText(headers))).toEqual([
    expect.stringMatching(
      /^11:\d+ sinks\[users\]\.destination\.headers in binary mode headers that begin with ce- are attributes of the event: leave Ce-Id out/,
    ),
  ]);
  await expect(loadText(headers.replace('Ce-Id: mine, ', ''))).resolves.toBeDefined();
});

const TABLE = (rules: string): string => `\n    tables: [{ name: public.users, ${rules} }]`;

test.each([
  [
    'a flattened column of wal2json',
    `    format: wal2json${TABLE('flatten: { a: true }')}`,
    /^10:\d+ .*\.flatten format wal2json has columns of the table only/,
  ],
  [
    'an added member of wal2json in an event',
    `    format: cloudevents\n    data_format: wal2json${TABLE('add: { a: 1 }')}`,
    /^11:\d+ .*\.add format wal2json has columns of the table only/,
  ],
  [
    'an added member called like a field of unwrapped rows',
    `    format: debezium\n    debezium: { unwrap: true, add.fields: op }${TABLE('add: { __op: 1 }')}`,
    /^11:\d+ .*\.add\.__op the format puts a field called "__op" beside the row's own: give another name/,
  ],
  [
    'the same in an event, of a renamed column',
    `    format: cloudevents\n    data_format: debezium\n    debezium: { unwrap: true }${TABLE('rename: { a: __deleted }')}`,
    /^12:\d+ .*\.rename\.a the format puts a field called "__deleted" beside/,
  ],
  [
    'a column with the name of the commit time',
    `    format: pg2sqs\n    commit_time_column: at${TABLE('rename: { a: at }')}`,
    /^11:\d+ .*\.rename\.a the format puts a field called "at" beside/,
  ],
  [
    'two fields of one name',
    '    format: debezium\n    debezium: { unwrap: true, add.fields: "op,lsn:op" }',
    /^10:\d+ .*debezium\.add\.fields two fields of the row would be called "__op": give one another name, as in op:kind/,
  ],
  [
    'a field called like the one that is always there',
    '    format: debezium\n    debezium: { unwrap: true, add.fields: "op:__deleted", add.fields.prefix: "" }',
    /two fields of the row would be called "__deleted"/,
  ],
])(
  'what a format has no place for is a fault with its place and its cure: %s',
  async (_, lines, expected) => {
    expect(await faultsOf(lines)).toEqual([expect.stringMatching(expected)]);
  },
);

test.each([
  `    format: debezium\n    debezium: { unwrap: true, add.fields: op }${TABLE('add: { op: 1 }, rename: { a: deleted }')}`,
  `    format: debezium${TABLE('add: { __deleted: 1 }')}`,
  `    format: pg2sqs\n    commit_time_column: at${TABLE('rename: { a: when }')}`,
  '    format: debezium\n    debezium: { unwrap: true, add.fields: "op,lsn:op_lsn" }',
])('and what it has a place for is none: %j', async (lines) => {
  await expect(loadText(sinkOf(lines))).resolves.toBeDefined();
});

test("a wal2json sink takes its plugin's parameters by their names", async () => {
  const { settings } = await loadText(
    sinkOf(
      '    format: wal2json\n    wal2json: { format-version: 2, include-xids: true, include-types: "false" }',
    ),
  );
  expect(settings.sinks[0]).toMatchObject({
    keyChanges: 'update',
    formatOptions: { wal2json: { 'include-xids': true, 'include-types': false, 'include-typmod': true } },
  });
});

test.each([
  [
    'format version 1',
    '    format: wal2json\n    wal2json: { format-version: 1 }',
    /only 2 is possible: a message is one change/,
  ],
  ['messages of schemas', '    format: wal2json\n    ddl: events', /wal2json has no messages of schemas/],
  [
    'forms of values',
    '    format: wal2json\n    values: { bytea: base64 }',
    /format wal2json says by keys of its own .*: wal2json/,
  ],
  [
    'a parameter that is not here',
    '    format: wal2json\n    wal2json: { include-default: true }',
    /include-default unknown key/,
  ],
])('of wal2json: %s is a fault with its place and its cure', async (_, lines, expected) => {
  expect(await faultsOf(lines)).toEqual([expect.stringMatching(expected)]);
});

test.each([
  '    format: debezium\n    debezium: { unwrap: true }\n    actions: [insert, update]',
  '    format: debezium\n    debezium: { unwrap: false }\n    actions: [insert, truncate]',
  '    format: debezium\n    debezium: { unwrap: true, add.fields: "op,source.lsn" }',
  '    format: tailrace\n    ddl: events',
])('the cures that faults of formats name are none: %j', async (lines) => {
  await expect(loadText(sinkOf(lines))).resolves.toBeDefined();
});

test.each([
  ['a webhook', TRANSACTIONS],
  ['names and annotations of its own', `${TRANSACTIONS}\n    actions: [insert, truncate]`],
  ['one queue', sqs('queue_name: changes.fifo')],
  ['one queue and one group', sqs('queue_name: changes.fifo\n      group_id: all')],
  ['actions that name the same queue', sqs('queue_name: q\n      delete: { queue_name: q }')],
])('a sink that is told of transactions may have %s', async (_, lines) => {
  const load = lines.includes('destination') ? loadText(sinkWith(lines)) : loadText(sinkOf(lines));
  const { settings } = await load;
  expect(settings.sinks[0]!.formatOptions).toMatchObject({ wal2json: { 'include-transaction': true } });
});

test.each([
  [
    'no groups',
    `${TRANSACTIONS}\n    message_grouping: false`,
    /message_grouping .*one group, in one order: leave/,
  ],
  [
    'groups by columns',
    `${TRANSACTIONS}\n    tables: [{ name: public.t, group_column_names: [a] }]`,
    /group_column_names .*one group, in one order: leave group_column_names out/,
  ],
  [
    'a route by row',
    sqs('queue_name: "q-${row.region}"'),
    /needs one route .* in queue_name rows decide: write a fixed one, or a sink for each/,
  ],
  [
    'a queue for an action',
    sqs('queue_name: q\n      delete: { queue_name: gone }'),
    /needs one route for all messages: write one .* instead of delete\.queue_name, queue_name, or/,
  ],
  [
    'a queue for a table alone',
    sqs('tables: { public.t: { queue_name: q } }'),
    /instead of tables\[public\.t\]\.queue_name, or a sink for each/,
  ],
  [
    'a group by column',
    sqs('queue_name: q.fifo\n      group_id: "${id}"'),
    /one group, in one order: group_id may be a fixed text/,
  ],
  [
    'a group of an action alone',
    sqs('queue_name: q.fifo\n      delete: { group_id: gone }'),
    /write one group_id at the top of the destination instead of delete\.group_id/,
  ],
  [
    'events around them',
    `    format: cloudevents\n    data_format: wal2json\n    wal2json: { include-transaction: true }`,
    /leave include-transaction out, or write format: wal2json/,
  ],
])('a sink that is told of transactions cannot have %s', async (_, lines, expected) => {
  const load = lines.includes('destination') ? loadText(sinkWith(lines)) : loadText(sinkOf(lines));
  expect(await faultLines(load)).toEqual([expect.stringMatching(expected)]);
});

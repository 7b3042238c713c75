// What a file may declare of columns: what it becomes, and what is wrong with it, at its place.
import { describe, expect, test } from 'vitest';
import { redact } from '../../../src/config/redact.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { faultLines, loadText } from '../load-config.ts';

/** `table`: the lines of one entry of `tables`, from line 9 on; `sink`: lines of the sink behind it. */
const fileWith = (table: readonly string[], sink: readonly string[] = []): string => `databases:
  - { name: shop, hostname: localhost, database: shop, slot: { name: tailrace }, publication: { name: tailrace } }
sinks:
  - name: users
    database: shop
    source: { include_tables: [public.users] }
    tables:
      - name: public.users
${table.map((line) => `        ${line}\n`).join('')}${sink.map((line) => `    ${line}\n`).join('')}    destination: { type: sqs, queue_name: users.fifo }
`;

const KEY = 'mask_key: 0123456789abcdef';

async function sinkOf(text: string): Promise<SinkSettings> {
  const { settings } = await loadText(text);
  return settings.sinks[0]!;
}

const linesOf = (table: readonly string[], sink?: readonly string[]): Promise<string[]> =>
  faultLines(loadText(fileWith(table, sink)));

test('rules are read by the names of columns in Postgres, and know where they stand', async () => {
  const table = [
    'exclude_columns: [password]',
    'rename: { email: email_address }',
    'mask: { ssn: redact, note: null, motto: "null", email: hash, card: { last: 4 }, contact: email }',
  ];
  const { tables, maskKey } = await sinkOf(fileWith(table, [KEY]));
  expect(maskKey).toBe('0123456789abcdef');
  expect(tables[0]!.rules).toEqual({
    place: 'tailrace.yaml:8:9  sinks[users].tables[public.users]',
    exclude: ['password'],
    rename: new Map([['email', 'email_address']]),
    mask: new Map<string, unknown>([
      ['ssn', { kind: 'redact' }],
      ['note', { kind: 'null' }],
      ['motto', { kind: 'null' }],
      ['email', { kind: 'hash' }],
      ['card', { kind: 'last', count: 4 }],
      ['contact', { kind: 'email' }],
    ]),
    flatten: new Map(),
    add: new Map(),
  });
});

test('flattened columns and added members', async () => {
  const table = [
    'flatten: { address: true, doc: { separator: ".", depth: 2 }, other: {} }',
    'add: { source: "shop", nothing: null, list: [1, "a"], label: "${row.first} ${row.last:-?}" }',
  ];
  const { rules } = (await sinkOf(fileWith(table))).tables[0]!;
  expect(rules!.flatten).toEqual(
    new Map([
      ['address', { separator: '_', depth: 16 }],
      ['doc', { separator: '.', depth: 2 }],
      ['other', { separator: '_', depth: 16 }],
    ]),
  );
  expect(rules!.add).toEqual(
    new Map([
      ['source', { kind: 'constant', json: '"shop"' }],
      ['nothing', { kind: 'constant', json: 'null' }],
      ['list', { kind: 'constant', json: '[1,"a"]' }],
      ['label', { kind: 'template', template: '${row.first} ${row.last:-?}' }],
    ]),
  );
});

test('what an update must change is a list, or says also what becomes of updates that do not tell', async () => {
  const ruleOf = async (line: string) => (await sinkOf(fileWith([line]))).tables[0]!.rules?.onlyWhenChanged;
  expect(await ruleOf('only_when_changed: [price, stock]')).toEqual({
    columns: ['price', 'stock'],
    whenUnknown: 'refuse',
  });
  expect(await ruleOf('only_when_changed: { columns: [price], when_unknown: send }')).toEqual({
    columns: ['price'],
    whenUnknown: 'send',
  });
});

test('a table without rules has none', async () => {
  const { tables } = await sinkOf(fileWith(['columns: [id, email]']));
  expect(tables[0]).toEqual({ pattern: { schema: ['public'], table: ['users'] }, columns: ['id', 'email'] });
});

test('the key of the hashes is never shown', async () => {
  const { settings } = await loadText(fileWith(['mask: { email: hash }'], [KEY]));
  expect(JSON.stringify(redact(settings))).not.toContain('0123456789abcdef');
});

describe('what is wrong is said at its place:', () => {
  test.each([
    [
      'a hash without its key',
      ['mask: { email: hash }'],
      [],
      /^9:24 sinks\[users\]\.tables\[public\.users\]\.mask\.email `hash` needs a key: give the sink a `mask_key`/,
    ],
    [
      'a key that can be guessed',
      ['mask: { email: hash }'],
      ['mask_key: short'],
      /^10:15 sinks\[users\]\.mask_key a key has 16 characters at least/,
    ],
    [
      'a column without a name',
      ['mask: { "": redact }'],
      [],
      /^9:17 .*\.mask\. a name is expected here: it is empty/,
    ],
    [
      'an added member that looks like a variable',
      ['add: { label: "in ${city}" }'],
      [],
      /^9:23 .*add\.label the variable city is not set: did you mean the column, \$\{row\.city\}\?/,
    ],
    [
      'a mask that is none',
      ['mask: { email: hashed }'],
      [KEY],
      /^9:24 .*mask\.email a mask is redact, null, hash, email, or { last: N }/,
    ],
    [
      'an end of no characters',
      ['mask: { card: { last: 0 } }'],
      [],
      /^9:31 .*mask\.card\.last at least 1 is expected/,
    ],
    [
      'a group of what is hidden',
      ['group_column_names: [email]', 'mask: { email: redact }'],
      [KEY],
      /^10:24 .*mask\.email group_column_names makes message groups of this column, and `redact` leaves nothing of it: mask it by `hash`/,
    ],
    [
      'a group of hashes without a key',
      ['group_column_names: [email]', 'mask: { email: email }'],
      [],
      /^10:24 .*mask\.email group_column_names makes message groups of its hash, which needs a key/,
    ],
    [
      'an excluded column that is listed',
      ['columns: [id, email]', 'exclude_columns: [email]'],
      [],
      /^10:27 .*exclude_columns\.?\[?0\]? "email" is in `columns` too/,
    ],
    [
      'an excluded column that is masked',
      ['exclude_columns: [email]', 'mask: { email: redact }'],
      [],
      /^9:27 .*exclude_columns.* `mask` has a rule for "email", which is not in the message/,
    ],
    [
      'an excluded column that is renamed',
      ['exclude_columns: [email]', 'rename: { email: mail }'],
      [],
      /^9:27 .* `rename` has a rule for "email"/,
    ],
    ['a column that is excluded twice', ['exclude_columns: [a, a]'], [], /^9:30 .* "a" is named twice/],
    [
      'two columns of one name',
      ['rename: { a: x, b: x }'],
      [],
      /^9:28 .*rename\.b "x" is the name of "a" in the message already/,
    ],
    [
      'a rename onto a listed column',
      ['columns: [id, email]', 'rename: { mail: email }'],
      [],
      /^10:25 .*rename\.mail "email" is the name of "email" in the message already/,
    ],
    ['a rename to nothing', ['rename: { a: "" }'], [], /^9:22 .*rename\.a this is empty/],
    [
      'a column that no mapping of JavaScript holds',
      ['mask: { __proto__: redact }'],
      [],
      /^9:15 .*mask "__proto__" cannot be named here/,
    ],
    [
      'changes of a table whose updates are not taken',
      ['actions: [insert]', 'only_when_changed: [price]'],
      [],
      /^10:28 .*only_when_changed this is about updates, and none is taken of this table/,
    ],
    ['changes of no column', ['only_when_changed: []'], [], /^9:28 .*only_when_changed .*list is empty/],
    [
      'changes of a text',
      ['only_when_changed: price'],
      [],
      /^9:28 .*only_when_changed columns are expected here/,
    ],
    [
      'a flattened column that is masked',
      ['mask: { doc: redact }', 'flatten: { doc: true }'],
      [],
      /^10:25 .*flatten\.doc this contradicts its mask/,
    ],
    [
      'a depth without end',
      ['flatten: { doc: { depth: 17 } }'],
      [],
      /^9:34 .*flatten\.doc\.depth at most 16 is expected/,
    ],
    [
      'a template that cannot be read',
      ['add: { label: "${name}" }', 'rename: { a: b }'],
      ['mask_key: 0123456789abcdef'],
      /^9:23 .*name/,
    ],
    [
      'an action that is no part of the row',
      ['add: { what: "${meta.action}" }'],
      [],
      /^9:22 .*add\.what the action is no part of the row/,
    ],
    [
      'an added member with the name of a column',
      ['columns: [id, a]', 'add: { a: 1 }'],
      [],
      /^10:19 .*add\.a "a" is the name of "a" in the message already/,
    ],
    [
      'an added member that is made of what is hidden',
      ['add: { label: "to ${row.email}" }', 'mask: { email: redact }'],
      [],
      /^10:24 .*mask\.email add\.label makes members of this column, and `redact` leaves nothing of it/,
    ],
    ['an unknown key', ['exclude: [a]'], [], /^9:9 .*exclude unknown key/],
  ] as const)('%s', async (_, table, sink, line) => {
    const lines = await linesOf(table, sink);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(line);
  });

  test.each(['flatten: { doc: true }', 'add: { source: shop }'])(
    'members in a format that lists columns: %s',
    async (line) => {
      expect(await linesOf([line], ['format: wal2json'])).toEqual([
        expect.stringMatching(/^9:\d+ .* format wal2json has columns of the table only/),
      ]);
    },
  );

  test.each([
    ['group_id: "${email}"', 'destination\\.group_id makes message groups of this column'],
    ['queue_name: "users-${row.email}.fifo"', 'destination\\.queue_name makes routes of this column'],
  ])('a template that names what is hidden: %s', async (key, message) => {
    const named = key.startsWith('queue_name') ? '' : 'queue_name: users.fifo, ';
    const text = fileWith(['mask: { email: redact }']).replace('queue_name: users.fifo', `${named}${key}`);
    expect(await faultLines(loadText(text))).toEqual([
      expect.stringMatching(new RegExp(`^9:24 .*mask\\.email ${message}, and \`redact\``)),
    ]);
  });
});

test('two columns may change their names with each other', async () => {
  const { tables } = await sinkOf(fileWith(['columns: [id, a, b]', 'rename: { a: b, b: a }']));
  expect(tables[0]!.rules!.rename).toEqual(
    new Map([
      ['a', 'b'],
      ['b', 'a'],
    ]),
  );
});

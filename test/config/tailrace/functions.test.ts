// Functions as sequin.yaml has them: paths are read, what needs code says so at its place.
import { describe, expect, test } from 'vitest';
import { faultLines, faultsOf, loadText } from '../load-config.ts';

const file = (functions: string, sink = 'transform: mine', key = 'functions'): string => `
databases: [{ name: shop, hostname: localhost, database: app, slot_name: s, publication_name: p }]
${key}: ${functions}
sinks:
  - name: users
    ${sink}
    destination: { type: sqs, queue_name: users.fifo, region: eu-central-1 }
`;
const pathOf = async (text: string) => (await loadText(text)).settings.sinks[0]!.path;

describe('a path', () => {
  test.each([
    ['flat', '[{ name: mine, description: of the row, type: path, path: record }]', ['record']],
    [
      'with names in it',
      '[{ name: mine, type: path, path: record.address.Straße 1 }]',
      ['record', 'address', 'Straße 1'],
    ],
    [
      'in the older spellings',
      '[{ name: mine, function: { type: path, path: metadata.record_pks } }]',
      ['metadata', 'record_pks'],
    ],
    ['in the oldest one', '[{ name: mine, transform: { type: path, path: changes } }]', ['changes']],
    [
      'as the console exports it',
      '[{ id: 1, account_id: 2, inserted_at: x, updated_at: y, name: mine, type: path, path: action }]',
      ['action'],
    ],
    [
      'among others',
      '[{ name: other, type: path, path: action }, { name: mine, type: path, path: record.id }]',
      ['record', 'id'],
    ],
  ])('is read %s', async (_, functions, path) => {
    expect(await pathOf(file(functions))).toEqual(path);
    expect(await pathOf(file(functions, 'transform: mine', 'transforms'))).toEqual(path);
  });

  test('is none where the sink names none', async () => {
    const functions = '[{ name: mine, type: path, path: record }]';
    expect(await pathOf(file(functions, 'transform: none'))).toBeUndefined();
    expect(await pathOf(file(functions, 'format: tailrace'))).toBeUndefined();
    expect(await pathOf(file(functions, 'transform: mine\n    format: tailrace'))).toEqual(['record']);
  });
});

test.each([
  [
    '[{ name: mine, type: path, path: recrd.id }]',
    '3:45 functions[mine].path',
    'a path begins with a member of the message: record, changes, action, metadata; did you mean "record"?',
  ],
  [
    '[{ name: mine, type: path, path: record..id }]',
    '3:45 functions[mine].path',
    'a name is missing between two dots, or behind the last one',
  ],
  [
    '[{ name: mine, type: path, path: action.x }]',
    '3:45 functions[mine].path',
    'action is a text: there is nothing in it',
  ],
  ['[{ name: mine, type: path, path: record.LONG }]', '3:45 functions[mine].path', '2000 characters at most'],
  [
    '[{ name: mine, type: path }]',
    '3:13 functions[mine]',
    'the path of this function is missing, such as record',
  ],
  ['[{ name: mine, path: record }]', '3:13 functions[mine]', 'the type of this function is missing: path'],
  [
    '[{ name: mine, function: { type: path } }]',
    '3:37 functions[mine].function',
    'the path of this function is missing',
  ],
  [
    '[{ name: mine, type: transform, code: "def transform" }]',
    '3:33 functions[mine].type',
    'functions of the type "transform" are not in this version yet: those of type path are',
  ],
  [
    '[{ name: mine, type: filter, file: f.exs }]',
    '3:33 functions[mine].type',
    'functions of the type "filter" are not in this version yet',
  ],
  ['[{ name: mine, type: pth, path: record }]', '3:33 functions[mine].type', 'path'],
  [
    '[{ name: mine, type: path, path: record }, { name: mine, type: path, path: action }]',
    '3:63 functions[mine].name',
    'another of the functions is called "mine" already',
  ],
])('a function that says what it cannot is a fault at its place: %s', async (functions, place, message) => {
  const [first, ...others] = await faultLines(loadText(file(functions.replace('LONG', 'x'.repeat(2000)))));
  expect(others).toEqual([]);
  expect(first).toContain(place);
  expect(first).toContain(message);
});

test('a sink that names an unknown function, or has a format without these members, is told so', async () => {
  const functions = '[{ name: mine, type: path, path: record }]';
  expect(await faultsOf(loadText(file(functions, 'transform: mime')))).toMatchObject([
    { line: 6, message: 'there is no function called "mime"', allowed: ['mine', 'none'], nearest: 'mine' },
  ]);
  expect(await faultsOf(loadText(file(functions, 'transform: mine\n    format: pg2sqs')))).toMatchObject([
    { line: 6, message: expect.stringContaining('this sink has the format "pg2sqs"') as string },
  ]);
  expect(
    await faultsOf(loadText(`${file(functions)}transforms: [{ name: other, type: path, path: record }]\n`)),
  ).toMatchObject([{ message: 'functions says this already: give one of the two' }]);
});

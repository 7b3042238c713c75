// What a file may say of AWS, at its place: keys with the line break of the file that they came from, regions, endpoints.
import { expect, test } from 'vitest';
import { faultLines, faultsOf, loadText } from '../load-config.ts';

const fileWith = (destination: string): string => `databases:
  - name: shop
    hostname: localhost
    database: shop
    slot: { name: tailrace }
    publication: { name: tailrace }
sinks:
  - name: users
    database: shop
    source: { include_tables: [public.users] }
    destination:
      type: sqs
      queue_name: users.fifo
${destination}`;

test('a key from a variable that ends with a line break is a fault at its place, and is not shown', async () => {
  const text = fileWith(`      access_key_id: \${KEY_ID}
      secret_access_key: \${SECRET}
      session_token: \${TOKEN}
`);
  const secrets = { KEY_ID: 'AKIDEXAMPLE', SECRET: 's3cret-of-all\n', TOKEN: '  s3cret-token' };
  const faults = await faultsOf(loadText(text, secrets));
  expect(faults).toMatchObject(
    [
      { line: 15, path: 'sinks[users].destination.secret_access_key', message: /ends with a line break/ },
      { line: 16, path: 'sinks[users].destination.session_token', message: /blanks around it/ },
    ].map(({ message, ...place }) => ({ ...place, message: expect.stringMatching(message) })),
  );
  expect(JSON.stringify(faults)).not.toContain('s3cret');
});

test('a mistyped region is a fault with the nearest one, a new one is a note', async () => {
  expect(await faultsOf(loadText(fileWith('      region: eu-wst-1\n')))).toMatchObject([
    { line: 14, path: 'sinks[users].destination.region', nearest: 'eu-west-1' },
  ]);
  const { notes } = await loadText(fileWith('      region: eu-west-9\n'));
  expect(notes).toContainEqual(expect.stringMatching(/^sink users: region eu-west-9 is not known .*new$/));
  const known = await loadText(fileWith('      region: eu-west-1\n'));
  expect(known.notes.filter((note) => note.includes('region'))).toEqual([]);
});

test.each([
  ['localhost:4566', 'emulator_base_url a URL with its scheme is expected: http://localhost:4566'],
  ['"http://me:s3cret@localhost:4566"', 'emulator_base_url credentials do not belong into a URL'],
])('an endpoint like %s is one fault, which says what to write', async (url, message) => {
  const lines = await faultLines(loadText(fileWith(`      emulator_base_url: ${url}\n`)));
  expect(lines).toEqual([expect.stringContaining(message)]);
  expect(lines[0]).not.toContain('s3cret');
});

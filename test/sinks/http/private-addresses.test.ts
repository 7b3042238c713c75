import { expect, test } from 'vitest';
import { isPrivateAddress, publicLookup } from '../../../src/sinks/http/private-addresses.ts';

test.each([
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '100.127.255.255',
  '127.0.0.53',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.0.2.1',
  '192.168.178.1',
  '198.19.0.1',
  '203.0.113.9',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::7f00:1',
  '::ffff:10.0.0.1',
  '::ffff:7f00:1',
  '::ffff:0:0',
  '::ffff:0:7f00:1',
  '::ffff:0:a9fe:a9fe',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::1',
  '2002:7f00:1::1',
  '2002:c0a8:101::',
  '2001::1',
  '2001:db8::1',
  '3fff::1',
  'fc00::1',
  'fd12:3456::1',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  'no address',
])('%s is private', (address) => {
  expect(isPrivateAddress(address)).toBe(true);
});

test.each([
  '1.1.1.1',
  '100.63.255.255',
  '100.128.0.0',
  '172.15.0.1',
  '172.32.0.1',
  '192.167.0.1',
  '223.255.255.255',
  '::ffff:8.8.8.8',
  '64:ff9b::808:808',
  '2002:808:808::1',
  '2001:4860:4860::8888',
  '2606:4700:4700::1111',
])('%s is public', (address) => {
  expect(isPrivateAddress(address)).toBe(false);
});

test('a look-up answers with what dns.lookup answers, but never with a private address', async () => {
  const ask = (host: string, all: boolean) =>
    new Promise((resolve, reject) =>
      publicLookup(host, { all }, (error, ...found) => (error === null ? resolve(found) : reject(error))),
    );
  for (const all of [true, false]) {
    await expect(ask('localhost', all)).rejects.toMatchObject({ code: 'PRIVATE_ADDRESS' });
    await expect(ask('webhook.invalid', all)).rejects.toMatchObject({
      code: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/),
    });
  }
  // An address is its own answer.
  expect(await ask('1.1.1.1', true)).toEqual([[{ address: '1.1.1.1', family: 4 }]]);
  expect(await ask('1.1.1.1', false)).toEqual(['1.1.1.1', 4]);
});

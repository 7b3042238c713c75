import { describe, expect, test } from 'vitest';
import { parseConnectionUrl, tlsModeOf, type ConnectionUrl } from '../../src/config/connection-url.ts';
import { faultsOf, loadText } from './load-config.ts';

const one = (host: string, port?: number): ConnectionUrl['hosts'] => [{ host, ...(port && { port }) }];

describe('a connection URL', () => {
  test('may have several hosts, escapes and a mode (C177)', () => {
    expect(
      parseConnectionUrl('postgresql://me:p%40ss@a,b:5433/shop?sslmode=require&sslrootcert=ca.pem'),
    ).toEqual({
      hosts: [{ host: 'a' }, { host: 'b', port: 5433 }],
      database: 'shop',
      username: 'me',
      password: 'p@ss',
      sslmode: 'require',
      sslrootcert: 'ca.pem',
      passedOver: [],
    });
  });

  test.each([
    ['postgres://db/d', one('db')],
    ['postgres://db:/d', one('db')],
    ['postgres://[::1]:5433,[fe80::1]/d', [{ host: '::1', port: 5433 }, { host: 'fe80::1' }]],
    ['postgres://%2Fvar%2Frun%2Fpostgresql/d', one('/var/run/postgresql')],
    ['postgres://%2fsrv%2fa%20b%3Ac:5433/d', one('/srv/a b:c', 5433)],
    ['postgres://me@%2Ftmp,db:5433/d', [{ host: '/tmp' }, { host: 'db', port: 5433 }]],
    ['postgres:///d?host=/var/run/postgresql', one('/var/run/postgresql')],
    ['postgres:///d?host=%2Ftmp%2Fa+b', one('/tmp/a+b')],
    ['postgres://ignored:1/d?host=db&port=5433', one('db', 5433)],
    ['postgres://ignored:1/d?host=db', one('db', 1)],
    [
      'postgres://a,b/d?port=5433',
      [
        { host: 'a', port: 5433 },
        { host: 'b', port: 5433 },
      ],
    ],
    ['postgres:///d?host=a,b&port=,5433', [{ host: 'a' }, { host: 'b', port: 5433 }]],
    ['postgres://a/d?host=', one('a')],
    // Whoever asks looks around for it, as psql does.
    ['postgres:///d', []],
    ['postgres://', []],
  ])('%s has its hosts', (url, hosts) => {
    expect(parseConnectionUrl(url)?.hosts).toEqual(hosts);
  });

  test('takes any part as a parameter, of which the last counts', () => {
    expect(
      parseConnectionUrl('postgres://u:p@h/d?user=me&password=a%26b%3Dc&dbname=shop&host=one&host=two'),
    ).toEqual({ hosts: one('two'), username: 'me', password: 'a&b=c', database: 'shop', passedOver: [] });
  });

  test('may have a question mark and an at sign in its password', () => {
    expect(parseConnectionUrl('postgres://me:a?b@c@db/shop')).toMatchObject({
      password: 'a?b@c',
      hosts: one('db'),
      database: 'shop',
    });
    expect(parseConnectionUrl('postgres://me:a@db?options=x@y')).toMatchObject({
      password: 'a',
      hosts: one('db'),
      passedOver: ['options'],
    });
  });

  test.each([
    'mysql://a/b',
    'a/b',
    'postgres://a:%zz@b/c',
    'postgres://a,/d',
    'postgres:///d?port=1,2',
    'postgres://a:70000/d',
    'postgres://a:b/d',
    'postgres://::1/d',
    'postgres://a,b/d?port=1,2,3',
    'postgres://a/d?host=%zz',
  ])('%s is none', (url) => {
    expect(parseConnectionUrl(url)).toBeUndefined();
  });

  test('passes over what libpq knows and has no meaning here', () => {
    const neon = 'postgres://u:p@h.neon.tech/d?sslmode=require&channel_binding=require&options=endpoint%3Dx';
    expect(parseConnectionUrl(neon)).toMatchObject({
      channel_binding: 'require',
      passedOver: ['options'],
    });
    const others =
      'connect_timeout=1&application_name=x&keepalives=1&gssencmode=disable&sslsni=1&hostaddr=1.2.3.4';
    expect(parseConnectionUrl(`postgres://h/d?${others}`)).toMatchObject({
      passedOver: others.split('&').map((parameter) => parameter.split('=')[0]),
    });
  });

  test('means the primary where it says so, and passes over any other wish', () => {
    const passedOver = (value: string) =>
      parseConnectionUrl(`postgres://h/d?target_session_attrs=${value}`)?.passedOver;
    for (const value of ['primary', 'read-write']) expect(passedOver(value)).toEqual([]);
    for (const value of ['any', 'standby', 'prefer-standby', 'read-only']) {
      expect(passedOver(value)).toEqual(['target_session_attrs']);
    }
  });

  test('names what nobody knows, with the nearest parameter', () => {
    const unknown = (parameter: string) => parseConnectionUrl(`postgres://h/d?${parameter}`)?.unknown;
    expect(unknown('sslmod=require')).toEqual({ name: 'sslmod', nearest: 'sslmode' });
    expect(unknown('pgbouncer=true')).toEqual({ name: 'pgbouncer' });
  });
});

test.each([
  ['', { mode: 'prefer' }],
  ['?sslmode=allow', { mode: 'prefer' }],
  ['?sslmode=require', { mode: 'require' }],
  ['?sslmode=require&sslrootcert=ca.pem', { mode: 'verify-ca', ca: 'ca.pem' }],
  ['?sslmode=verify-full&sslrootcert=ca.pem', { mode: 'verify-full', ca: 'ca.pem' }],
  ['?sslrootcert=system', { mode: 'verify-full', ca: 'system' }],
  ['?sslmode=verify-full&sslrootcert=system', { mode: 'verify-full', ca: 'system' }],
  ['?ssl=true', { mode: 'require' }],
  ['?ssl=false', { mode: 'disable' }],
  ['?ssl=true&sslmode=verify-full', { mode: 'verify-full' }],
])('TLS of "%s" is what libpq makes of it', (query, expected) => {
  expect(tlsModeOf(parseConnectionUrl(`postgres://h/d${query}`)!)).toEqual(expected);
});

describe('in a configuration', () => {
  const config = (url: string): string => `
databases:
  - name: shop
    url: ${url}
    slot_name: s
    publication_name: p
sinks: [{ name: a, destination: { type: sequin_stream } }]
`;

  test('the parameters that are passed over are one note, which repeats no value', async () => {
    const url =
      'postgres://me:hunter2@localhost/d?hostaddr=hunter3&target_session_attrs=any&sslpassword=hunter3';
    const { notes, settings } = await loadText(config(url));
    expect(notes).toEqual([
      'databases[shop].url: hostaddr, target_session_attrs are passed over: Tailrace finds the primary, and makes its connections, in its own way',
    ]);
    expect(settings.databases[0]).toMatchObject({ hosts: [{ host: 'localhost', port: 5432 }] });
  });

  test('an unknown one is an error with the nearest name', async () => {
    expect(await faultsOf(loadText(config('postgres://h/d?sslmod=require')))).toMatchObject([
      { line: 4, column: 10, message: 'sslmod is no parameter of a connection URL', nearest: 'sslmode' },
    ]);
  });

  test('a directory of sockets is this machine, so that no TLS is asked of it', async () => {
    const { notes, settings } = await loadText(config('postgres://%2Ftmp%2Fa%20b:5433/d?sslmode=require'));
    expect(settings.databases[0]!.hosts).toEqual([{ host: '/tmp/a b', port: 5433 }]);
    expect(notes).toEqual([]);
  });
});

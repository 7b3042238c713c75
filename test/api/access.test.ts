import { describe, expect, test } from 'vitest';
import { decideAccess, hostOf, isJsonType, isLoggedIn, isLoopbackHost } from '../../src/api/access.ts';

const request = { host: '127.0.0.1:7376', origin: undefined, authorization: undefined };

test.each([
  ['its Host', '/api/sinks', ['Host', '127.0.0.1:7376'], '127.0.0.1:7376'],
  [
    'its target, where that is a whole URL',
    'http://evil.example/api/sinks',
    ['host', '127.0.0.1'],
    'evil.example',
  ],
  ['nobody, where it says it twice', '/api/sinks', ['Host', '127.0.0.1', 'HOST', 'evil.example'], undefined],
  ['nobody, where it does not say', '/api/sinks?url=http://127.0.0.1', ['X-Value', 'host'], undefined],
])('a request is for %s', (_, target, rawHeaders, host) => {
  expect(hostOf(target, rawHeaders)).toBe(host);
});

describe('on loopback without a token', () => {
  const rules = { loopback: true, tokens: [] };

  test('a request for a loopback name sees everything', () => {
    for (const host of ['127.0.0.1:7376', 'localhost:7376', '[::1]:7376', 'localhost']) {
      expect([host, decideAccess(rules, { ...request, host })]).toEqual([host, 'full']);
    }
  });

  test('a request for another name (DNS rebinding) is refused', () => {
    for (const host of ['evil.example', '127.0.0.1.evil.example:7376', 'localhost.evil.example', undefined]) {
      expect([host, decideAccess(rules, { ...request, host })]).toEqual([host, 'forbidden']);
    }
  });

  test('a page of another origin is refused, one of the same origin is not', () => {
    for (const origin of [
      'https://evil.example',
      'null',
      'http://127.0.0.1:9999',
      'https://127.0.0.1:7376',
    ]) {
      expect([origin, decideAccess(rules, { ...request, origin })]).toEqual([origin, 'forbidden']);
    }
    expect(decideAccess(rules, { ...request, origin: 'http://127.0.0.1:7376' })).toBe('full');
  });
});

describe.each([true, false])('with tokens, on loopback: %s', (loopback) => {
  const rules = { loopback, tokens: ['first', 'second'] };

  test('any of them opens everything, whatever the host', () => {
    for (const token of ['first', 'second']) {
      expect(
        decideAccess(rules, { host: 'tailrace:7376', origin: undefined, authorization: `Bearer ${token}` }),
      ).toBe('full');
    }
  });

  test('whatever else the header says is refused, and no header sees words and numbers', () => {
    const wrong = ['First', 'firs', 'firstsecond', 'first second', ''].map((token) => `Bearer ${token}`);
    for (const authorization of [
      ...wrong,
      'first',
      'Basic Zmlyc3Q6',
      'Basic x',
      'Bearer',
      'bearerfirst',
      '',
    ]) {
      expect([authorization, decideAccess(rules, { ...request, authorization })]).toEqual([
        authorization,
        'unauthorized',
      ]);
    }
    expect(decideAccess(rules, request)).toBe('public');
    expect(decideAccess(rules, { ...request, host: 'evil.example', origin: 'https://evil.example' })).toBe(
      'public',
    );
  });
});

test('the metrics open to their own user and password only', () => {
  const login = { username: 'prometheus', password: 'p:ä s' };
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
  expect(isLoggedIn(login, basic('prometheus:p:ä s'))).toBe(true);
  expect(isLoggedIn({ username: '', password: 'p' }, basic(':p'))).toBe(true);
  for (const header of [
    undefined,
    '',
    'Basic',
    'Basic !',
    basic('prometheus:p'),
    basic('prometheus'),
    'Bearer p:ä s',
  ]) {
    expect([header, isLoggedIn(login, header)]).toEqual([header, false]);
  }
});

test('only loopback addresses are loopback', () => {
  const loopback = ['127.0.0.1', '127.9.9.9', '::1', '[::1]', 'localhost', 'LOCALHOST', 'a.localhost'];
  const others = ['0.0.0.0', '::', '10.0.0.1', '1270.0.0.1', 'example.com', '127.0.0.1.example.com', ''];
  expect(loopback.map(isLoopbackHost)).toEqual(loopback.map(() => true));
  expect(others.map(isLoopbackHost)).toEqual(others.map(() => false));
});

test('only JSON is JSON: another page can send no body that says so', () => {
  const json = [
    'application/json',
    'APPLICATION/JSON',
    'application/json; charset=utf-8',
    'application/json ;',
  ];
  const others = [
    undefined,
    '',
    'text/plain',
    'application/jsonp',
    'application/json-seq',
    'x/application/json',
  ];
  expect(json.map(isJsonType)).toEqual(json.map(() => true));
  expect(others.map(isJsonType)).toEqual(others.map(() => false));
});

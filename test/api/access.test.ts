import { describe, expect, test } from 'vitest';
import { decideAccess, isLoopbackHost } from '../../src/api/access.ts';

const request = { host: '127.0.0.1:7376', origin: undefined, authorization: undefined };

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

describe('with tokens', () => {
  const rules = { loopback: false, tokens: ['first', 'second'] };

  test('any of them opens everything, whatever the host', () => {
    for (const token of ['first', 'second']) {
      expect(
        decideAccess(rules, { host: 'tailrace:7376', origin: undefined, authorization: `Bearer ${token}` }),
      ).toBe('full');
    }
  });

  test('a wrong one is refused, and none sees words and numbers', () => {
    for (const token of ['First', 'firs', 'firstsecond']) {
      expect(decideAccess(rules, { ...request, authorization: `Bearer ${token}` })).toBe('unauthorized');
    }
    expect(decideAccess(rules, request)).toBe('public');
    expect(decideAccess(rules, { ...request, authorization: 'Basic Zmlyc3Q6' })).toBe('public');
  });
});

test('only loopback addresses are loopback', () => {
  const loopback = ['127.0.0.1', '127.9.9.9', '::1', '[::1]', 'localhost', 'LOCALHOST', 'a.localhost'];
  const others = ['0.0.0.0', '::', '10.0.0.1', '1270.0.0.1', 'example.com', '127.0.0.1.example.com', ''];
  expect(loopback.map(isLoopbackHost)).toEqual(loopback.map(() => true));
  expect(others.map(isLoopbackHost)).toEqual(others.map(() => false));
});

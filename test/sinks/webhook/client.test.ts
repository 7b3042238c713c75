import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { DeliveryError, Outcome } from '../../../src/core/errors.ts';
import { message, patient } from '../../support/messages.ts';
import { selfSignedCertificate } from '../../support/tls.ts';
import { createSink, endpoint } from './fixture.ts';

const routeFailure = (code: unknown, hint: string) =>
  expect.objectContaining({ kind: 'retryable', scope: 'route', code, hint: expect.stringContaining(hint) });

const deliverTo = async (destination: object): Promise<Outcome> => {
  const sink = await createSink(destination);
  const [outcome] = await sink.deliver([message()], patient);
  return outcome!;
};

describe('over https', () => {
  let own: ReturnType<typeof selfSignedCertificate>;
  let other: ReturnType<typeof selfSignedCertificate>;
  beforeAll(() => {
    own = selfSignedCertificate();
    other = selfSignedCertificate();
  });

  test('an endpoint with a certificate of the authority that is named is verified in full', async () => {
    const server = await endpoint(own);
    expect(await deliverTo({ url: server.url, tls: { ca: own.cert } })).toBe('delivered');
    const { port } = new URL(server.url);
    expect(await deliverTo({ url: `https://localhost:${port}`, tls: { ca: own.cert } })).toBe('delivered');
    expect(server.taken).toHaveLength(2);
  });

  test('an endpoint with a certificate of nobody known is refused, and says what to name', async () => {
    const server = await endpoint(own);
    for (const tls of [undefined, { ca: other.cert }, { ca: other.cert, mode: 'verify-ca' }]) {
      expect(await deliverTo({ url: server.url, tls })).toEqual(
        routeFailure(expect.stringMatching(/CERT/), 'tls.ca'),
      );
    }
    expect(server.requests).toEqual([]);
    const sink = await createSink({ url: server.url });
    await expect(sink.check(patient, { create: false })).rejects.toMatchObject({
      message: expect.stringContaining(server.url),
      hint: expect.stringContaining('tls.ca'),
    });
  });

  test('a certificate for another host is refused, unless only its authority is to be verified', async () => {
    const server = await endpoint(own);
    // The same address in another spelling, which the certificate does not have.
    const { port } = new URL(server.url);
    const url = `https://[::ffff:127.0.0.1]:${port}`;
    expect(await deliverTo({ url, tls: { ca: own.cert } })).toEqual(
      routeFailure('ERR_TLS_CERT_ALTNAME_INVALID', 'for another host'),
    );
    expect(await deliverTo({ url, tls: { ca: own.cert, mode: 'verify-ca' } })).toBe('delivered');
    expect(await deliverTo({ url, tls: { mode: 'require' } })).toBe('delivered');
  });

  test('a client certificate is shown where the endpoint asks for one', async () => {
    const server = await endpoint({ ...own, ca: own.cert, requestCert: true, rejectUnauthorized: true });
    const tls = { ca: own.cert };
    expect(await deliverTo({ url: server.url, tls })).toMatchObject({ kind: 'retryable', scope: 'route' });
    expect(await deliverTo({ url: server.url, tls: { ...tls, cert: own.cert, key: own.key } })).toBe(
      'delivered',
    );
  });

  test('an http URL of an https endpoint, and the reverse, are the route’s fault', async () => {
    const [https, http] = [await endpoint(own), await endpoint()];
    for (const url of [https.url.replace('https', 'http'), http.url.replace('http', 'https')]) {
      const outcome = await deliverTo({ url });
      expect(outcome).toMatchObject({ kind: 'retryable', scope: 'route' });
      expect((outcome as DeliveryError).hint).toMatch(/ — .{10}/);
    }
  });
});

describe('with deny_private_addresses', () => {
  const DENIED = routeFailure('PRIVATE_ADDRESS', 'deny_private_addresses');

  test.each([
    '127.0.0.1',
    'localhost',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '2130706433',
    '017700000001',
    '0x7f.1',
    '127.1',
    '0',
  ])('nothing is sent to %s, and check says so', async (host) => {
    const server = await endpoint();
    const url = server.url.replace('127.0.0.1', host);
    const sink = await createSink({ url, deny_private_addresses: true });
    expect(await sink.deliver([message()], patient)).toEqual([DENIED]);
    await expect(sink.check(patient, { create: false })).rejects.toMatchObject({ code: 'PRIVATE_ADDRESS' });
    expect(server.connections).toBe(0);
  });

  test('a name is looked up, and not taken for a private address', async () => {
    const url = 'http://nowhere.invalid/hook';
    const sink = await createSink({ url, deny_private_addresses: true });
    const [outcome] = await sink.deliver([message()], patient);
    expect(outcome).toMatchObject({ code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/) });
  });

  test('a redirect to a private address is not followed', async () => {
    const server = await endpoint();
    server.failNext({ kind: 'answer', status: 307, headers: { location: 'http://169.254.169.254/latest' } });
    const sink = await createSink({ url: server.url });
    expect(await sink.deliver([message()], patient)).toEqual([routeFailure('HTTP_307', 'not followed')]);
  });

  test('without it, private addresses are ordinary ones', async () => {
    const server = await endpoint();
    const { port } = new URL(server.url);
    expect(await deliverTo({ url: `http://localhost:${port}` })).toBe('delivered');
  });
});

test.each([
  ['an unasked 100 Continue', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  ['a head of 20 KB', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_480)}\r\nContent-Length: 2\r\n\r\nok`],
  ['lines that end with LF alone', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
])('an answer with %s is taken, over one connection', async (_, reply) => {
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections++;
    socket.on('data', () => socket.write(reply));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const sink = await createSink({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` });
  for (let i = 0; i < 2; i++) expect(await sink.deliver([message()], patient)).toEqual(['delivered']);
  expect(connections).toBe(1);
});

test('a host name that does not resolve is the route’s fault, and names the cure', async () => {
  expect(await deliverTo({ url: 'http://webhook.invalid/hook' })).toEqual(
    routeFailure(expect.stringMatching(/ENOTFOUND|EAI_AGAIN/), 'does not resolve'),
  );
});

import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

/** A server that answers every request with `body`, and what was asked of it. */
async function listening(body: string) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization}`);
    response.end(body);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

test('a command asks the service on this machine itself, where the environment has a proxy for everything', async () => {
  const proxy = await listening('the proxy');
  const service = await listening('{"error":"not yet","code":"STARTING"}');
  const env = {
    ...process.env,
    NODE_USE_ENV_PROXY: '1',
    http_proxy: proxy.url,
    HTTP_PROXY: proxy.url,
    no_proxy: '',
    NO_PROXY: '',
    TAILRACE_TOKEN: 'open-sesame',
  };
  const args = [MAIN, 'status', '--json', '--url', service.url];
  await new Promise<void>((done) => {
    execFile(process.execPath, args, { env }, () => done());
  });
  expect(proxy.asked).toEqual([]);
  expect(service.asked).not.toEqual([]);
  for (const asked of service.asked) expect(asked).toMatch(/ Bearer open-sesame$/);
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  CredentialCache,
  credentialLoader,
  environmentCredentials,
  type ExpiringCredentials,
} from '../../../src/sinks/aws/credentials.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Credentials named 1, 2, 3, …, each valid for `minutes`; `fail` makes the next loads fail. */
function source(minutes: number) {
  const state = { nowMs: 0, setByMs: 0, loads: 0, fail: false };
  const load = (): Promise<ExpiringCredentials> => {
    state.loads++;
    if (state.fail) return Promise.reject(new Error('no answer'));
    const expiration = new Date(state.nowMs + state.setByMs + minutes * MINUTE_MS);
    return Promise.resolve({ accessKeyId: String(state.loads), secretAccessKey: 's', expiration });
  };
  return {
    state,
    cache: new CredentialCache(load, {
      wallMs: () => state.nowMs + state.setByMs,
      steadyMs: () => state.nowMs,
    }),
  };
}

describe('the cache', () => {
  test('asks once for all callers, and not again while the credentials hold', async () => {
    const { state, cache } = source(60);
    await Promise.all([cache.get(), cache.get(), cache.get()]);
    expect(await cache.get()).toMatchObject({ accessKeyId: '1' });
    expect(state.loads).toBe(1);
  });

  test('renews credentials before they expire (C233)', async () => {
    const { state, cache } = source(60);
    await cache.get();
    state.nowMs = 56 * MINUTE_MS;
    expect(await cache.get()).toMatchObject({ accessKeyId: '2' });
  });

  test('keeps credentials that still hold when they cannot be renewed, and fails when they are over', async () => {
    const { state, cache } = source(60);
    await cache.get();
    state.fail = true;
    state.nowMs = 58 * MINUTE_MS;
    expect(await cache.get()).toMatchObject({ accessKeyId: '1' });
    state.nowMs = 61 * MINUTE_MS;
    await expect(cache.get()).rejects.toThrow('no answer');
    state.fail = false;
    expect((await cache.get()).accessKeyId).not.toBe('1');
  });

  test('a wall clock that is set makes credentials neither older nor younger', async () => {
    for (const setByMs of [-HOUR_MS, HOUR_MS]) {
      const { state, cache } = source(60);
      await cache.get();
      state.setByMs = setByMs;
      state.nowMs = 50 * MINUTE_MS;
      expect(await cache.get()).toMatchObject({ accessKeyId: '1' });
      state.nowMs = 56 * MINUTE_MS;
      expect(await cache.get()).toMatchObject({ accessKeyId: '2' });
    }
  });

  test('asks again after a refusal, once for all requests that were refused', async () => {
    const { state, cache } = source(60);
    const first = await cache.get();
    cache.refused(first);
    const second = await cache.get();
    cache.refused(first);
    expect(await cache.get()).toBe(second);
    expect(state.loads).toBe(2);
  });
});

describe('sources', () => {
  const none = { use_task_role: false };

  test('static keys, with a session token', async () => {
    const options = { ...none, access_key_id: 'a', secret_access_key: 'b', session_token: 'c' };
    expect(await credentialLoader(options)()).toEqual({
      accessKeyId: 'a',
      secretAccessKey: 'b',
      sessionToken: 'c',
    });
  });

  test('the environment has the keys that the SDK finds in it, or none', async () => {
    const { fromEnv } = await import('@aws-sdk/credential-providers');
    onTestFinished(() => void vi.unstubAllEnvs());
    const values: Readonly<Record<string, readonly (string | undefined)[]>> = {
      AWS_ACCESS_KEY_ID: ['a', '', undefined],
      AWS_SECRET_ACCESS_KEY: ['b', '', undefined],
      AWS_SESSION_TOKEN: ['c', '', undefined],
      AWS_CREDENTIAL_EXPIRATION: ['2026-11-29T12:00:00Z', '', undefined],
    };
    const [keys, secrets, tokens, ends] = Object.values(values) as [string[], string[], string[], string[]];
    let found = 0;
    for (const key of keys)
      for (const secret of secrets)
        for (const token of tokens)
          for (const end of ends) {
            for (const [i, value] of [key, secret, token, end].entries())
              vi.stubEnv(Object.keys(values)[i]!, value);
            const theirs = await fromEnv()().catch(() => undefined);
            const { accessKeyId, secretAccessKey, sessionToken, expiration } = theirs ?? {};
            const ours = environmentCredentials(process.env);
            expect(ours).toEqual(theirs && { accessKeyId, secretAccessKey, sessionToken, expiration });
            if (ours !== undefined) found++;
          }
    expect(found).toBe(9);
  });

  test('by default the environment goes first, unless a profile is named', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tailrace-test-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'credentials');
    writeFileSync(file, '[shop]\naws_access_key_id = profile\naws_secret_access_key = secret\n');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', file);
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'environment');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'x');
    vi.stubEnv('AWS_PROFILE', '');
    const warn = vi.spyOn(console, 'warn').mockReturnValue();
    onTestFinished(() => {
      vi.unstubAllEnvs();
      warn.mockRestore();
    });
    expect(await credentialLoader(none)()).toMatchObject({ accessKeyId: 'environment' });
    vi.stubEnv('AWS_PROFILE', 'shop');
    expect(await credentialLoader(none)()).toMatchObject({ accessKeyId: 'profile' });
  });

  test('a profile, read again at each load', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tailrace-test-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'credentials');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', file);
    onTestFinished(() => void vi.unstubAllEnvs());
    const load = credentialLoader({ ...none, profile: 'shop' });
    for (const key of ['one', 'two']) {
      writeFileSync(file, `[shop]\naws_access_key_id = ${key}\naws_secret_access_key = secret\n`);
      expect(await load()).toMatchObject({ accessKeyId: key, secretAccessKey: 'secret' });
    }
  });

  test('the task’s role, not the keys of the environment', async () => {
    const url = await serve('application/json', () =>
      JSON.stringify({
        AccessKeyId: 'task',
        SecretAccessKey: 'b',
        Token: 'c',
        Expiration: new Date(Date.now() + 60 * MINUTE_MS).toISOString(),
      }),
    );
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'environment');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'x');
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', url);
    onTestFinished(() => void vi.unstubAllEnvs());
    const credentials = await credentialLoader({ use_task_role: true })();
    expect(credentials).toMatchObject({
      accessKeyId: 'task',
      sessionToken: 'c',
      expiration: expect.any(Date),
    });
  });

  const assumedRole = (sessionToken: string): string => `
    <AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
    <Credentials><AccessKeyId>role</AccessKeyId><SecretAccessKey>b</SecretAccessKey>
    <SessionToken>${sessionToken}</SessionToken>
    <Expiration>${new Date(Date.now() + 60 * MINUTE_MS).toISOString()}</Expiration></Credentials>
    </AssumeRoleResult></AssumeRoleResponse>`;

  test('a role, assumed with the keys and the external id', async () => {
    const bodies: string[] = [];
    const url = await serve('text/xml', (body) => {
      bodies.push(body);
      return assumedRole('c');
    });
    vi.stubEnv('AWS_ENDPOINT_URL_STS', url);
    onTestFinished(() => void vi.unstubAllEnvs());
    const credentials = await credentialLoader({
      ...none,
      access_key_id: 'a',
      secret_access_key: 'b',
      role_arn: 'arn:aws:iam::123456789012:role/tailrace',
      external_id: 'shop',
      region: 'eu-west-1',
    })();
    expect(credentials).toMatchObject({ accessKeyId: 'role', sessionToken: 'c' });
    expect(bodies).toEqual([
      expect.stringMatching(/role%2Ftailrace.*ExternalId=shop|ExternalId=shop.*role%2Ftailrace/),
    ]);
  });

  test('what comes with an assumed role is looked at too', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_STS', await serve('text/xml', () => assumedRole('c\u010dX-Injected: 1')));
    onTestFinished(() => void vi.unstubAllEnvs());
    const load = credentialLoader({
      ...none,
      access_key_id: 'a',
      secret_access_key: 'b',
      role_arn: 'arn:aws:iam::123456789012:role/tailrace',
      region: 'eu-west-1',
    });
    await expect(load()).rejects.toMatchObject({
      code: 'CREDENTIALS_MALFORMED',
      message: expect.stringMatching(/^the session token cannot be used/),
    });
  });

  test.each([
    ['AWS_ACCESS_KEY_ID', 'access key id', 'AKID\n', 'ends with a line break'],
    ['AWS_SECRET_ACCESS_KEY', 'secret access key', 's3cret\r\n', 'ends with a line break'],
    ['AWS_SECRET_ACCESS_KEY', 'secret access key', ' s3cret', 'blanks around it'],
    ['AWS_SESSION_TOKEN', 'session token', 's3cret\r\nX-Injected: 1', 'line break inside'],
    ['AWS_SESSION_TOKEN', 'session token', 's3cret\u010dx', 'U+010D'],
  ])('what cannot be a key in %s is refused by name, and not shown', async (variable, name, value, fault) => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKID');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    vi.stubEnv(variable, value);
    onTestFinished(() => void vi.unstubAllEnvs());
    const error = await credentialLoader(none)().catch((error: unknown) => error);
    expect(error).toMatchObject({
      code: 'CREDENTIALS_MALFORMED',
      message: expect.stringMatching(new RegExp(`the ${name} in ${variable} .*${fault.replace('+', '\\+')}`)),
    });
    expect((error as Error).message).not.toContain('s3cret');
  });

  test('what the endpoint of a task’s role gives is looked at too, also where it only leads to a role', async () => {
    const url = await serve('application/json', () =>
      JSON.stringify({
        AccessKeyId: 'task',
        SecretAccessKey: 's3cret\n',
        Token: 'c',
        Expiration: new Date(Date.now() + 60 * MINUTE_MS).toISOString(),
      }),
    );
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', url);
    onTestFinished(() => void vi.unstubAllEnvs());
    for (const role of [{}, { role_arn: 'arn:aws:iam::123456789012:role/tailrace', region: 'eu-west-1' }]) {
      await expect(credentialLoader({ use_task_role: true, ...role })()).rejects.toMatchObject({
        code: 'CREDENTIALS_MALFORMED',
        message: expect.stringMatching(/^the secret access key cannot be used: it ends with a line break/),
      });
    }
  });

  test('an emulator takes any keys, those of the environment first', async () => {
    const load = credentialLoader({ ...none, emulator_base_url: 'http://localhost:4566' });
    vi.stubEnv('AWS_ACCESS_KEY_ID', '');
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(await load()).toEqual({ accessKeyId: 'test', secretAccessKey: 'test' });
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'mine');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'x');
    expect(await load()).toMatchObject({ accessKeyId: 'mine' });
  });
});

/** An HTTP server that answers with `answer(body)` until the test ends. */
async function serve(type: string, answer: (body: string) => string): Promise<string> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => response.writeHead(200, { 'content-type': type }).end(answer(body)));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

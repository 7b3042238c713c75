import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { passwordFor } from '../../../src/postgres/connection/secrets.ts';
import type { PasswordSource } from '../../../src/postgres/settings.ts';

const seeker = { username: 'me', database: 'shop' };
const target = { host: 'db', port: 5432 };
const ask = (source: PasswordSource) => passwordFor(source, seeker, target);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'tailrace-secrets-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const file = (text: string): string => {
  const path = join(directory, 'secret');
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};

/** A program of these lines, with `$1` and so on. */
const command = (script: string, timeoutMs = 60_000, ...args: string[]): PasswordSource => ({
  from: 'command',
  argv: ['/bin/sh', '-c', script, 'sh', ...args],
  timeoutMs,
});

describe('a password in a file', () => {
  test.each([
    ['secret', 'secret'],
    ['secret\n', 'secret'],
    ['secret\r\n', 'secret'],
    [' with blanks \n', ' with blanks '],
  ])('%j is %j', async (text, password) => {
    expect(await ask({ from: 'file', file: file(text) })).toEqual({ password });
  });

  test.each([
    ['', 'is empty'],
    ['\n', 'is empty'],
    ['one\ntwo\n', 'has more than one line'],
    ['nul\0', 'has more than one line'],
  ])('%j is none: it %s', async (text, what) => {
    await expect(ask({ from: 'file', file: file(text) })).rejects.toMatchObject({
      code: 'PASSWORD_FILE',
      kind: 'fatal',
      message: `password_file: ${join(directory, 'secret')} ${what}`,
    });
  });

  test('is named where it cannot be read, whatever it is', async () => {
    for (const path of [join(directory, 'none'), directory]) {
      await expect(ask({ from: 'file', file: path })).rejects.toMatchObject({
        code: 'PASSWORD_FILE',
        message: expect.stringContaining(path),
        hint: expect.any(String),
      });
    }
  });
});

describe('a password of a command', () => {
  test('is what it prints, without a shell in between', async () => {
    expect(await ask(command('echo secret'))).toEqual({ password: 'secret' });
    const argv = ['/bin/echo', '$HOME `id`'];
    expect(await ask({ from: 'command', argv, timeoutMs: 60_000 })).toEqual({ password: '$HOME `id`' });
  });

  test('is asked for with nothing on its standard input', async () => {
    expect(await ask(command('cat; echo end'))).toEqual({ password: 'end' });
  });

  test.each([
    ['it fails', command('echo leaked; echo leaked >&2; exit 3'), 'ended with code 3', 'retryable'],
    ['it is ended', command('echo leaked; kill -9 $$'), 'was ended by SIGKILL', 'retryable'],
    ['it takes too long', command('echo leaked; sleep 1000', 200), 'did not end within 200 ms', 'retryable'],
    [
      'its child holds on to the pipe',
      command('sleep 1000 & echo leaked; wait', 200),
      'did not end within 200 ms',
      'retryable',
    ],
    [
      'it prints without end',
      command('while :; do echo leakedleakedleakedleaked; done'),
      'prints more than 65536 bytes',
      'fatal',
    ],
    ['it prints nothing', command(':'), 'is empty', 'fatal'],
    ['it prints several lines', command('echo leaked; echo leaked'), 'has more than one line', 'fatal'],
    [
      'there is no such program',
      { from: 'command', argv: ['/nonexistent/leaked-not', 'leaked'], timeoutMs: 1000 } as const,
      'cannot be run (ENOENT)',
      'fatal',
    ],
  ])('is none where %s; nothing of it is told', async (_why, source, what, kind) => {
    const error: unknown = await ask(source).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'PASSWORD_COMMAND', kind, message: expect.stringContaining(what) });
    expect(inspect(error, { depth: 10 }).replace('/nonexistent/leaked-not', '')).not.toContain('leaked');
  });
});

describe('a password file', () => {
  const pgpass = (path: string): PasswordSource => ({ from: 'pgpass', file: path, otherwise: 'default' });

  test('gives the line that fits, else the default, with the reason', async () => {
    const path = file('db:5432:shop:me:secret\n');
    expect(await ask(pgpass(path))).toEqual({ password: 'secret' });
    writeFileSync(path, 'db:5432:shop:you:secret\n');
    expect(await ask(pgpass(path))).toEqual({
      password: 'default',
      passedOver: `the password file ${path} has no line for it`,
    });
    expect(await ask(pgpass(join(directory, 'none')))).toEqual({ password: 'default' });
  });

  test.each([0o640, 0o604, 0o620])('that others may use (%o) is passed over', async (mode) => {
    const path = file('db:5432:shop:me:secret\n');
    chmodSync(path, mode);
    expect(await ask(pgpass(path))).toEqual({
      password: 'default',
      passedOver: expect.stringContaining(`chmod 600 ${path}`),
    });
    chmodSync(path, 0o600);
  });
});

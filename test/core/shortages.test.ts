import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { descriptorLimit, parseDescriptorLimit } from '../../src/core/descriptors.ts';
import { describeError, TailraceError } from '../../src/core/errors.ts';
import { shortageNamed, shortageOf } from '../../src/core/shortages.ts';
import { connectionFault } from '../../src/postgres/connection/fault.ts';
import { fileError } from '../../src/log/errors.ts';
import { AwsFailures } from '../../src/sinks/aws/failures.ts';
import { RequestError } from '../../src/sinks/aws/errors.ts';
import { networkError } from '../../src/sinks/http/errors.ts';
import { transportFailure } from '../../src/sinks/webhook/errors.ts';
import { storeError } from '../../src/store/errors.ts';
import { databaseSettings } from '../support/database-settings.ts';

const failing = (code: string, message = `${code}: said the system`): Error =>
  Object.assign(new Error(message), { code });
const PASSING = ['EMFILE', 'ENFILE', 'ENOSPC', 'EDQUOT', 'ENOMEM', 'ENOBUFS'];

test.each([...PASSING, 'EROFS', 'EIO'])('%s is known by name, with its cure, also as a cause', (code) => {
  const shortage = shortageNamed(code)!;
  expect(shortage.what).toContain(`(${code})`);
  expect(shortageOf(failing(code))).toEqual(shortage);
  const wrapped = new TailraceError('no', { code: 'X', kind: 'fatal', cause: failing(code) });
  expect(shortageOf(wrapped)).toEqual(shortage);
  expect(shortageOf(new AggregateError([failing(code)]))).toEqual(shortage);
  expect(describeError(failing(code))).toBe(`${code}: said the system — ${shortage.cure}`);
});

test.each(['ENOENT', 'constructor', '__proto__', ''])('%j names no shortage', (code) => {
  expect(shortageOf(failing(code))).toBeUndefined();
});

test('an error that is its own cause ends the search', () => {
  const error = new Error('round');
  error.cause = error;
  expect(shortageOf(error)).toBeUndefined();
});

test.each(PASSING)('%s passes for the log, whose writer goes on', (code) => {
  expect(fileError(failing(code), '/data/log', 'write')).toMatchObject({
    mend: 'retry',
    hint: expect.stringContaining(shortageNamed(code)!.cure) as string,
  });
});

test.each(['EROFS', 'EIO'])('%s does not pass by itself: the log ends with the cure', (code) => {
  expect(fileError(failing(code), '/data/log', 'write')).toMatchObject({ mend: 'restart' });
});

test.each(['EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS'])(
  'who connects and meets %s says so, whatever the other end is',
  (code) => {
    const { cure } = shortageNamed(code)!;
    const aws = new AwsFailures('SQS', {} as never);
    const { code: sent, message } = networkError(failing(code));
    const hint = expect.stringContaining(cure) as string;
    const lost = { kind: 'retryable', scope: 'route', code, hint };
    expect(aws.ofRequest(new RequestError({ code: sent, message }))).toEqual(lost);
    expect(transportFailure(networkError(failing(code)))).toEqual(lost);
    const target = { host: 'db', port: 5432 };
    expect(
      connectionFault(failing(code), databaseSettings({ name: 'shop', ...target }), target),
    ).toMatchObject({
      code,
      mend: 'retry',
      hint: cure,
    });
  },
);

test.each([
  [13, 'STORE_FULL', /free disk space/],
  [7, 'STORE_WRITE_FAILED', /more memory/],
  [10, 'STORE_WRITE_FAILED', /dmesg/],
  [14, 'STORE_WRITE_FAILED', /own the data directory/],
])('result code %d of SQLite is %s with its cure', (errcode, code, hint) => {
  const error = Object.assign(new Error('sqlite'), { code: 'ERR_SQLITE_ERROR', errcode });
  expect(storeError(error)).toMatchObject({
    code,
    mend: 'retry',
    hint: expect.stringMatching(hint) as string,
  });
});

test('the limit of descriptors is read as the kernel writes it', () => {
  const line = 'Max open files            1024                 524288               files     ';
  expect(parseDescriptorLimit(`Limit  Soft Limit\n${line}\n`)).toBe(1024);
  expect(parseDescriptorLimit(line.replace('1024', 'unlimited'))).toBe(Infinity);
  expect(parseDescriptorLimit('nothing')).toBeUndefined();
  expect(descriptorLimit()).toBeGreaterThanOrEqual(256);
});

/** In a process of its own, which has no descriptor left. */
test('without a descriptor, a resolver’s “no such host” and SQLite’s “cannot open” are seen for what they are', () => {
  const program = `
    import fs from 'node:fs';
    import { areDescriptorsFree, descriptorLimit, shortageBehind } from '${new URL('../../src/core/descriptors.ts', import.meta.url).href}';
    import { sqliteShortage } from '${new URL('../../src/data-directory/sqlite-results.ts', import.meta.url).href}';
    const before = [areDescriptorsFree(4), descriptorLimit()];
    const behind = () => [
      shortageBehind(Object.assign(new Error('x'), { code: 'ENOTFOUND' }))?.code,
      sqliteShortage(Object.assign(new Error('x'), { errcode: 14 }))?.code,
    ];
    const without = behind();
    try { for (;;) fs.openSync('/dev/null'); } catch {}
    const answer = JSON.stringify({ before, without, within: behind(), free: areDescriptorsFree(1) });
    fs.writeSync(1, answer);
    process.exit(0);
  `;
  const { stdout, stderr } = spawnSync(
    'sh',
    ['-c', 'ulimit -n 64 && exec "$0" --input-type=module -e "$1"', process.execPath, program],
    { encoding: 'utf8' },
  );
  expect(JSON.parse(stdout || `"${stderr}"`)).toEqual({
    before: [true, 64],
    without: [null, null],
    within: ['EMFILE', 'EMFILE'],
    free: false,
  });
});

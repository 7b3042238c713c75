import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { standing } from '../../src/cli/handover.ts';
import { sinkDocument } from '../../src/pipeline/service/health.ts';
import { startTestApi } from '../support/api.ts';
import { startCli } from '../support/cli.ts';
import { testControl, type TestControl } from '../support/control.ts';
import { letterAt, SINK } from '../support/letters.ts';
import { serviceStatus, sinkStatus } from '../support/status.ts';

/** A service whose sink does what it is asked to, with three dead letters. */
async function serve(sinks = [sinkStatus()], tokens: readonly string[] = []) {
  const control: TestControl = testControl({
    sinks,
    answer: () => ({ rewinds: 2, from: '0/10', withdrawnDeadLetters: 1 }),
  });
  control.store.sinks.started(SINK, [], { configured: 'active', now: new Date() });
  for (let i = 1; i <= 3; i++) control.store.deadLetters.add(letterAt(i), new Date(Date.UTC(2026, 0, i)));
  const { url } = await startTestApi({ control, tokens, status: () => serviceStatus({ sinks }) });
  const run = (...args: string[]) => runAt(url, args);
  return { control, url, run };
}

async function runAt(url: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const cli = startCli([...args, '--url', url], { env });
  const code = await cli.code;
  return { code, stdout: cli.stdout(), stderr: cli.stderr() };
}

test('pause, resume and disable say what the sink does now, and end with 0', async () => {
  const { control, run } = await serve();
  expect(await run('pause', 'users')).toMatchObject({
    code: 0,
    stdout: 'shop/users is paused: it holds its place in the log\n',
  });
  expect((await run('disable', 'shop/users')).stdout).toBe('shop/users is disabled: it holds nothing\n');
  expect((await run('resume', 'users')).stdout).toBe('shop/users runs\n');
  expect((await run('pause', 'users', '--now')).code).toBe(0);
  expect(control.asked.map(([, request]) => request)).toEqual([
    ...['paused', 'disabled', 'active'].map((status) => ({ type: 'set_status', status })),
    { type: 'set_status', status: 'paused', now: true },
  ]);
});

test('what the service refuses is shown with its cure: 1 for a no, 2 for a slip', async () => {
  const { run } = await serve([sinkStatus(), sinkStatus({ database: 'crm' })]);
  const ambiguous = await run('pause', 'users');
  expect(ambiguous.code).toBe(1);
  expect(ambiguous.stderr).toContain('write one of shop/users, crm/users');
  expect((await run('rewind', 'shop/users', '--to', 'tomorrow')).code).toBe(2);
  expect((await run('rewind', 'shop/users')).code).toBe(2);
  expect((await run('dead-letters', 'replay', 'shop/users')).stderr).toContain('--all');
  expect((await run('dead-letters', 'discard', 'shop/users', '1', '--all')).code).toBe(2);
  expect((await run('dead-letters', 'show', 'shop/users', 'x')).code).toBe(2);
});

test('rewind says from where the sink delivers again', async () => {
  const { run } = await serve();
  const { code, stdout } = await run('rewind', 'users', '--to', 'earliest');
  expect(code).toBe(0);
  expect(stdout).toBe(
    'shop/users is rewound: it delivers again from LSN 0/10 on\nrewind 2 of this sink; 1 dead letters from there on are withdrawn\n',
  );
});

test('dead letters are listed over all sinks as a table, shown, replayed and discarded', async () => {
  const { control, run } = await serve([sinkStatus(), sinkStatus({ name: 'orders' })]);
  const list = await run('dead-letters', 'list');
  expect(list.stdout).toMatch(/^ID +SINK +TABLE +ACTION +CODE/);
  expect(list.stdout).toMatch(/2 +shop\/users +public\.t +insert +BAD +1 +10 B +dead/);
  expect((await run('dead-letters', 'list', 'orders')).stdout).toBe('no dead letters\n');
  const page = await run('dead-letters', 'list', 'users', '--limit', '2', '--json');
  expect(JSON.parse(page.stdout)).toMatchObject({ dead_letters: [{ id: 1 }, { id: 2 }], next: 2 });
  expect(page.stderr).toBe('');

  const shown = await run('dead-letters', 'show', 'users', '2');
  expect(shown.stdout).toMatch(/reason: +refused/);
  expect(shown.stdout.trimEnd().split('\n').at(-1)).toBe('{"commit":2}');

  const replayed = await run('dead-letters', 'replay', 'users', '1', '2', '--rate', '0.5');
  expect(replayed).toMatchObject({ code: 0, stderr: '' });
  expect(replayed.stdout).toContain('2 dead letters are sent again');
  expect(control.store.sinks.find(SINK)?.replayRate).toBe(0.5);
  expect((await run('dead-letters', 'discard', 'users', '--code', 'BAD')).stdout).toBe(
    '3 dead letters are discarded\n',
  );
  expect((await run('dead-letters', 'discard', 'users', '--all')).code).toBe(1);
});

test('a replay of a sink that does not run says when it goes', async () => {
  const { run } = await serve([sinkStatus({ state: 'paused' })]);
  const { code, stderr } = await run('dead-letters', 'replay', 'users', '--all');
  expect(code).toBe(0);
  expect(stderr).toBe('the sink is paused: they go when it runs\n');
});

test('who may not see the gaps, or asks somebody else than Tailrace, is not told that there are none', async () => {
  const { url, run } = await serve([sinkStatus()], ['right']);
  expect(await run('gaps', 'list')).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('gaps are shown to a token only') as string,
  });
  const wrong = await runAt(url, ['gaps', 'list'], { TAILRACE_TOKEN: 'wrong' });
  expect(wrong).toMatchObject({ code: 1, stdout: '' });
  expect((await runAt(url, ['gaps', 'list'], { TAILRACE_TOKEN: 'right' })).stdout).toContain('no gaps');

  const other = createServer((_request, response) => response.end('{}'));
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done));
  onTestFinished(() => new Promise<void>((done) => void other.close(() => done())));
  const elsewhere = await runAt(`http://127.0.0.1:${(other.address() as AddressInfo).port}`, [
    'gaps',
    'list',
  ]);
  expect(elsewhere).toMatchObject({ code: 1, stdout: '' });
  expect(elsewhere.stderr).toContain('is that address Tailrace?');
});

test('a drain says at once of which sinks it waits in vain, and which it does not wait for', async () => {
  const sinks = [
    sinkStatus({ name: 'rests', state: 'paused' }),
    sinkStatus({ name: 'off', state: 'disabled' }),
    sinkStatus({ name: 'stands', health: 'halted', reason: 'a gap' }),
    sinkStatus({ name: 'works' }),
  ].map(sinkDocument);
  expect(sinks.map(standing)).toEqual([
    ['waits for sink "shop/rests", which is paused: tailrace resume shop/rests'],
    [expect.stringContaining('does not wait for sink "shop/off"')],
    ['waits for sink "shop/stands", which is halted: a gap'],
    [],
  ]);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { startCli } from '../support/cli.ts';

test('--version prints the version and ends with 0', async () => {
  const cli = startCli(['--version']);
  expect(await cli.code).toBe(0);
  expect(cli.stdout()).toBe('1.2.3\n');
});

test('--help lists every command', async () => {
  const cli = startCli(['--help']);
  expect(await cli.code).toBe(0);
  for (const command of ['run', 'check', 'doctor', 'status', 'tail', 'demo']) {
    expect(cli.stdout()).toContain(`  ${command} `);
  }
});

test('bad usage ends with 2 and says what is wrong', async () => {
  const wrong: readonly [string[], string][] = [
    [[], 'Usage: tailrace'],
    [['rum'], "unknown command 'rum'"],
    [['run', '--nothing'], "unknown option '--nothing'"],
    [['tail'], "missing required argument 'url'"],
    [['tail', 'postgres://db/x', '--format', 'xml'], 'Allowed choices are sequin, tailrace, pg2sqs'],
    [['demo', '--rows', '0'], 'Expected a whole number above 0'],
    [['demo', '--rows', 'ten'], 'Expected a whole number above 0'],
    [['status', '--url', 'nowhere'], 'Expected http://host:port'],
  ];
  for (const [argv, says] of wrong) {
    const cli = startCli(argv);
    expect([argv, await cli.code]).toEqual([argv, 2]);
    expect(cli.stderr()).toContain(says);
  }
});

test('whoever reads the errors may go away: the exit code is the same, for standard output and standard error', async () => {
  const main = resolve(import.meta.dirname, '../../src/main.ts');
  for (const [argv, code] of [
    [['check', '-c', '/nowhere/tailrace.yaml'], 2],
    [['status', '--url', 'http://127.0.0.1:1'], 1],
    [['--help'], 0],
  ] as const) {
    const child = spawn(process.execPath, [main, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    child.stderr.destroy();
    expect([argv, (await once(child, 'exit'))[0]]).toEqual([argv, code]);
  }
});

// Completion: what may stand next, and the scripts in the shells themselves, as far as they are installed.
import { execFile, execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SHELLS, type Shell } from '../../src/cli/completion/scripts.ts';
import { startCli } from '../support/cli.ts';

const run = promisify(execFile);

const CONFIG = `
databases:
  - { name: shop, hostname: 127.0.0.1, database: shop, slot: { name: t }, publication: { name: t } }
sinks:
  - { name: users, database: shop, source: { include_tables: [public.users] }, destination: { type: sequin_stream } }
  - { name: orders, database: shop, source: { include_tables: [public.orders] }, destination: { type: sequin_stream } }
`;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  await writeFile(join(directory, 'tailrace.yaml'), CONFIG);
  await writeFile(join(directory, 'other.yaml'), CONFIG.replaceAll('users', 'people'));
  // What a shell finds as `tailrace`.
  const main = resolve(import.meta.dirname, '../../src/main.ts');
  await writeFile(join(directory, 'tailrace'), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`);
  await chmod(join(directory, 'tailrace'), 0o755);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

async function completions(...words: string[]): Promise<string[]> {
  const cli = startCli(['complete', '--', ...words], { cwd: directory });
  expect(await cli.code).toBe(0);
  return cli
    .stdout()
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t')[0]!);
}

describe('what may stand next', () => {
  test('commands, with what they do; never the hidden one', async () => {
    expect(await completions('st')).toEqual(['words', 'status']);
    expect(await completions('')).toEqual(
      expect.arrayContaining(['run', 'dead-letters', 'completion', 'help']),
    );
    expect(await completions('comp')).toEqual(['words', 'completion']);
    expect(await completions('dead-letters', 're')).toEqual(['words', 'replay']);
    const cli = startCli(['complete', '--', 'sta']);
    await cli.code;
    expect(cli.stdout()).toBe('words\nstatus\tshow sinks, positions and lag of a running service\n');
  });

  test('sinks and databases of the configuration, where an option names one', async () => {
    expect(await completions('types', '--sink', '')).toEqual(['words', 'users', 'orders']);
    expect(await completions('types', '--database=')).toEqual(['words', '--database=shop']);
    expect(await completions('types', '--out', '')).toEqual(['directories']);
  });

  test('options of the command, each once', async () => {
    expect(await completions('status', '--')).toEqual(
      expect.arrayContaining(['--watch', '--check', '--json', '--help']),
    );
    expect(await completions('status', '--watch', '--w')).toEqual(['words']);
    expect(await completions('run', '--d')).toEqual(['words', '--data-dir']);
    expect(await completions('dead-letters', 'replay', 'users', '--ra')).toEqual(['words', '--rate']);
  });

  test('values that are known, files and directories', async () => {
    expect(await completions('status', '--check', '')).toEqual(['words', 'degraded', 'halted']);
    expect(await completions('tail', 'url', '--format', 's')).toEqual(['words', 'sequin']);
    expect(await completions('tail', 'url', '--format=s')).toEqual(['words', '--format=sequin']);
    expect(await completions('completion', '')).toEqual(['words', 'bash', 'zsh', 'fish']);
    expect(await completions('run', '-c', '')).toEqual(['files']);
    expect(await completions('run', '--config', 'x', '--data-dir', '')).toEqual(['directories']);
    expect(await completions('tail', 'url', '--table', 'a', 'b', '--pub')).toEqual([
      'words',
      '--publication',
    ]);
  });

  test('sinks of the configuration', async () => {
    expect(await completions('pause', '')).toEqual(['words', 'users', 'orders']);
    expect(await completions('pause', '-c', 'other.yaml', 'p')).toEqual(['words', 'people']);
    expect(await completions('rewind', '--config=other.yaml', '--to', 'earliest', 'p')).toEqual([
      'words',
      'people',
    ]);
    expect(await completions('pause', '-c', 'missing.yaml', '')).toEqual(['words']);
    expect(await completions('dead-letters', 'list', 'u')).toEqual(['words', 'users']);
  });

  test('nothing behind what is complete or unknown', async () => {
    expect(await completions('nothing', 'x')).toEqual(['words']);
    expect(await completions('status', '--nothing', '--wat')).toEqual(['words', '--watch']);
    expect(await completions('status', '--', '--wat')).toEqual(['words']);
  });
});

/** Completes each line in the shell itself, and prints what came of it, a word a line, with a dot behind the last. */
const IN_SHELL: Readonly<Record<Shell, readonly string[]>> = {
  bash: [
    '--norc',
    '-c',
    `source <(tailrace completion bash); complete -p tailrace >&2 || exit 1
     for line in "$@"; do
       COMP_LINE=$line COMP_POINT=\${#line}; _tailrace; printf '%s\\n' "\${COMPREPLY[@]}" .
     done`,
    'bash',
  ],
  // Completion of zsh needs a line editor: here what it would be given is printed.
  zsh: [
    '-f',
    '-c',
    `autoload -U compinit; compinit -D; source <(tailrace completion zsh)
     (( $+_comps[tailrace] )) || exit 1
     _describe() { printf '%s\\n' "\${(@)\${(P)4}%%:*}" }; _files() { print -l *.yaml }
     for line in "$@"; do words=("\${(@s: :)line}"); CURRENT=$#words; _tailrace; print .; done`,
    'zsh',
  ],
  fish: [
    '--no-config',
    '-c',
    `tailrace completion fish | source
     for line in $argv; complete -C $line | string replace -r '\\t.*' ''; echo .; end`,
  ],
};

function isInstalled(shell: Shell): boolean {
  try {
    execFileSync(shell, ['-c', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const LINES = ['tailrace status --w', 'tailrace pause ', 'tailrace run -c oth'];

for (const shell of SHELLS) {
  const state = isInstalled(shell) ? '' : ' (not tried: it is not installed here)';
  test.skipIf(state !== '')(
    `${shell} completes options, sinks and files${state}`,
    { timeout: 120_000 },
    async () => {
      const env = { ...process.env, PATH: `${directory}:${process.env['PATH']}`, HOME: directory };
      const { stdout } = await run(shell, [...IN_SHELL[shell], ...LINES], { cwd: directory, env });
      const [options, sinks, files] = stdout.split('.\n').map((words) => words.trim().split('\n').toSorted());
      expect(options).toEqual(['--watch']);
      expect(sinks).toEqual(['orders', 'users']);
      expect(files).toContain('other.yaml');
    },
  );
}

// The help of every command: its examples, which the program itself must understand, and its width.
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { examplesOf, pathOf } from '../../src/cli/examples.ts';
import { createProgram } from '../../src/cli/program.ts';
import { startCli } from '../support/cli.ts';

const programWith = (action: () => void): Command => {
  const program = createProgram(
    {
      startService: () => Promise.reject(new Error('nothing starts')),
      version: '1.2.3',
      env: {},
      cwd: '/nowhere',
      stdout: { write: () => undefined },
      stderr: { write: () => undefined },
      onInterrupt: () => () => undefined,
      exit: () => undefined,
    },
    () => Promise.resolve(),
  );
  for (const command of commandsBelow(program)) if (command.commands.length === 0) command.action(action);
  return program;
};

/** All that a help shows, the program itself too. */
function commandsBelow(command: Command): Command[] {
  const shown = command.createHelp().visibleCommands(command);
  return [command, ...command.commands.filter((child) => shown.includes(child)).flatMap(commandsBelow)];
}

/** As a shell cuts it, without what it redirects. */
const wordsOf = (line: string): string[] =>
  line
    .replace(/ >>? .*$/, '')
    .split(' ')
    .map((word) => word.replaceAll(/^'|'$/g, ''));

const commands = commandsBelow(programWith(() => undefined));

test('every command has examples', () => {
  expect(commands.length).toBeGreaterThan(15);
  expect(commands.filter((command) => examplesOf(command).length === 0).map(pathOf)).toEqual([]);
});

for (const command of commands) {
  for (const [line] of examplesOf(command)) {
    test(`the program understands \`${line}\``, async () => {
      let ran = 0;
      const [name, ...argv] = wordsOf(line);
      expect(name).toBe('tailrace');
      await programWith(() => ran++).parseAsync(argv, { from: 'user' });
      expect(ran).toBe(1);
      // It is an example of this command and of no other.
      expect(argv.join(' ').startsWith(pathOf(command))).toBe(true);
    });
  }
}

test('a word that no command has is not understood', async () => {
  await expect(
    programWith(() => undefined).parseAsync(['status', '--nothing'], { from: 'user' }),
  ).rejects.toThrow(/--nothing/);
});

test('help shows the examples, and keeps to a terminal of 60 columns', async () => {
  for (const command of commands) {
    const path = pathOf(command)
      .split(' ')
      .filter((word) => word !== '');
    const cli = startCli([...path, '--help'], {
      terminal: { isTTY: true, columns: 60 },
      env: { NO_COLOR: '1' },
    });
    expect(await cli.code).toBe(0);
    const [usage, examples] = cli.stdout().split('\nExamples:\n');
    for (const [line, does] of examplesOf(command)) expect(examples).toContain(`  ${line}\n      ${does}`);
    const tooLong = usage!.split('\n').filter((text) => text.length > 60 && !/\S{40}/.test(text));
    expect([path, tooLong]).toEqual([path, []]);
  }
});

test('a typo is answered with the nearest command or option', async () => {
  const typos: readonly [string[], string][] = [
    [['stauts'], 'Did you mean status?'],
    [['dead-leters', 'list'], 'Did you mean dead-letters?'],
    [['dead-letters', 'reply'], 'Did you mean replay?'],
    [['help', 'chekc'], "unknown command 'chekc'\n(Did you mean check?)"],
    [['help', 'dead-letters', 'reply'], 'Did you mean replay?'],
    [['dead-letters', 'help', 'reply'], 'Did you mean replay?'],
    [['help', 'status', 'nothing'], "unknown command 'nothing'"],
    [['status', '--wach'], 'Did you mean --watch?'],
    [['run', '--datadir', 'x'], 'Did you mean --data-dir?'],
    [['completion', 'bsh'], 'Allowed choices are bash, zsh, fish'],
    [['status', '--check', 'never'], 'Allowed choices are degraded, halted'],
    [['status', '--check', '--watch'], "'--check [from]' cannot be used with option '--watch'"],
    [['status', '--interval', '0'], 'Expected seconds from 0.1 to 3600'],
  ];
  for (const [argv, says] of typos) {
    const cli = startCli(argv);
    expect([argv, await cli.code]).toEqual([argv, 2]);
    expect(cli.stderr()).toContain(says);
  }
});

test('help of a command is its help, wherever it is asked for', async () => {
  for (const [argv, usage] of [
    [['help'], 'tailrace [options] [command]'],
    [['help', 'check'], 'tailrace check [options]'],
    [['help', 'gaps', 'accept'], 'tailrace gaps accept [options]'],
    [['gaps', 'help', 'accept'], 'tailrace gaps accept [options]'],
  ] as const) {
    const cli = startCli(argv);
    expect([argv, await cli.code, cli.stderr()]).toEqual([argv, 0, '']);
    expect(cli.stdout()).toContain(`Usage: ${usage}`);
  }
});

test('an error names the help of the command that was meant', async () => {
  for (const [argv, help] of [
    [['stauts'], 'tailrace --help'],
    [['tail'], 'tailrace tail --help'],
    [['completion', 'bsh'], 'tailrace completion --help'],
    [['dead-letters', 'reply'], 'tailrace dead-letters --help'],
    [['dead-letters', 'show', 'users'], 'tailrace dead-letters show --help'],
  ] as const) {
    const cli = startCli(argv);
    expect([argv, await cli.code]).toEqual([argv, 2]);
    expect(cli.stderr()).toContain(`(try "${help}")`);
  }
});

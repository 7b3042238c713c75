// `tailrace completion bash | zsh | fish`, and the question that its scripts ask.
import { Argument } from 'commander';
import type { AddCommands } from '../command.ts';
import { EXIT, writeLine, type CliPorts } from '../ports.ts';
import { complete, type Configured } from './complete.ts';
import { SCRIPTS, SHELLS, type Shell } from './scripts.ts';

export const addCompletionCommands: AddCommands = (program, ports, end) => {
  program
    .command('completion')
    .description('print the script that makes a shell complete commands, options and sinks')
    .addArgument(new Argument('<shell>', 'which one').choices(SHELLS))
    .action(async (shell: Shell) => {
      ports.stdout.write(SCRIPTS[shell]);
      await end(Promise.resolve(EXIT.ok));
    });
  program
    .command('complete', { hidden: true })
    .description('what the scripts of `completion` ask')
    .argument('[words...]')
    .action(async (words: string[]) => {
      const answer = await complete(program, words, (what, config) => names(what, config, ports));
      writeLine(ports.stdout, answer.kind);
      if (answer.kind === 'words') {
        for (const { word, about } of answer.candidates) writeLine(ports.stdout, `${word}\t${about}`);
      }
      await end(Promise.resolve(EXIT.ok));
    });
};

/** Of a configuration that can be read. */
async function names(
  what: Configured,
  config: string | undefined,
  ports: CliPorts,
): Promise<readonly string[]> {
  try {
    const { loadConfiguration } = await import('../configuration.ts');
    const { sinks, databases } = (await loadConfiguration({ config }, ports)).settings;
    return (what === 'sink' ? sinks : databases).map(({ name }) => name);
  } catch {
    return [];
  }
}

// `tailrace help COMMAND`, and the same below a command. Commander's own answers a name that no command has with the whole help, as
// if nothing was wrong.
import type { Command } from 'commander';
import { nearestName } from '../core/nearest-name.ts';

/** For every command that has others below it; those must be there already. */
export function addHelpCommands(command: Command): void {
  if (command.commands.length === 0) return;
  command.commands.forEach(addHelpCommands);
  command.helpCommand(false);
  command
    .command('help')
    .description('display help for command')
    .argument('[command...]')
    .action((names: string[]) => meantBy(command, names).help());
}

/** Ends as an unknown command does, where a name is none. */
function meantBy(command: Command, names: readonly string[]): Command {
  const [name, ...below] = names;
  if (name === undefined) return command;
  const found = command.commands.find((child) => child.name() === name || child.aliases().includes(name));
  if (found !== undefined) return meantBy(found, below);
  const shown = command.createHelp().visibleCommands(command);
  const nearest = nearestName(
    name,
    shown.map((child) => child.name()),
  );
  const suggestion = nearest === undefined ? '' : `\n(Did you mean ${nearest}?)`;
  return command.error(`error: unknown command '${name}'${suggestion}`, {
    code: 'commander.unknownCommand',
  });
}

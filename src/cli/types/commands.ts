// The command that writes types of messages, as the command line defines it.
import { Option } from 'commander';
import { CONFIG_OPTION, type AddCommands } from '../command.ts';
import type { TypesOptions } from './types.ts';

export const addTypesCommand: AddCommands = (program, ports, end) => {
  program
    .command('types')
    .description("write TypeScript and JSON Schema of every sink's messages, from the tables as they are")
    .option('--database <database>', 'only of the sinks of this database')
    .addOption(new Option('--sink <sink>', 'only of this sink: name, or database/name').conflicts('database'))
    .option('--out <dir>', 'write files there (default: TypeScript to standard output)')
    .option(
      '--check',
      'write nothing: compare with the files in --out, name what changed, and end with 1 where something did',
    )
    .option(...CONFIG_OPTION)
    .option('--json', 'machine-readable: what was written, or what changed')
    .action(async (options: TypesOptions) => {
      const { types } = await import('./types.ts');
      await end(types(options, ports));
    });
};

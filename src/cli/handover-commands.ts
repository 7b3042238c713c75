// The commands by which a database moves to another server.
import { CONFIG_OPTION, withServiceOptions, type AddCommands } from './command.ts';
import type { AdoptCommandOptions, DrainOptions } from './handover.ts';

export const addHandoverCommands: AddCommands = (program, ports, end) => {
  withServiceOptions(
    program
      .command('drain')
      .description('deliver all that the servers have, and read no more: before a move to another server'),
  )
    .option('--database <name>', 'only this one')
    .option('--undo', 'read on')
    .action(async (options: DrainOptions) => {
      const { drain } = await import('./handover.ts');
      await end(drain(options, ports));
    });
  const databases = program.command('databases').description('the servers behind the databases');
  databases
    .command('adopt')
    .description(
      'take the server that the configuration names for a database, in place of the one before; Tailrace must not run',
    )
    .argument('<name>', 'of the database, in the configuration')
    .option(...CONFIG_OPTION)
    .option('--data-dir <dir>', 'where the change log and the state live (default: ./tailrace-data)')
    .option(
      '--nothing-missing',
      'the old server was drained and shut down, and the new slot is from before the first write',
    )
    .option('--yes', 'do it; without, say what would be done')
    .option('--json', 'machine-readable')
    .action(async (name: string, options: AdoptCommandOptions) => {
      const { adoptDatabase } = await import('./handover.ts');
      await end(adoptDatabase(name, options, ports));
    });
};

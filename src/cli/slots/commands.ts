// The commands of slots, as the command line defines them.
import { CONFIG_OPTION, type AddCommands } from '../command.ts';
import type { DropSlotsOptions, ListSlotsOptions } from './slots.ts';

export const addSlotCommands: AddCommands = (program, ports, end) => {
  const slots = program
    .command('slots')
    .description('the replication slots: on the primary, and where Tailrace keeps them on standbys');
  slots
    .command('list')
    .description('ask every host for its slot, and for the WAL that it keeps there')
    .option(...CONFIG_OPTION)
    .option('--json', 'machine-readable')
    .action(async (options: ListSlotsOptions) => {
      const { listSlots } = await import('./slots.ts');
      await end(listSlots(options, ports));
    });
  slots
    .command('drop')
    .description('drop the slot of a database on its standbys; Tailrace must not run')
    .argument('<name>', 'of the database, in the configuration')
    .option(...CONFIG_OPTION)
    .option('--data-dir <dir>', 'where the change log and the state live (default: ./tailrace-data)')
    .option('--everywhere', 'on the primary, too: what it keeps for Tailrace is lost then')
    .option('--yes', 'do it; without, say what would be done')
    .option('--json', 'machine-readable')
    .action(async (name: string, options: DropSlotsOptions) => {
      const { dropDatabaseSlots } = await import('./slots.ts');
      await end(dropDatabaseSlots(name, options, ports));
    });
};

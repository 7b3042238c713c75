// The commands of gaps, as the command line defines them.
import { parseCount, parseCounts, withServiceOptions, type AddCommands } from '../command.ts';
import type { ServiceOptions } from '../service-client.ts';
import type { ListGapsOptions } from './gaps.ts';
import type { RepairOptions } from './repair.ts';

export const addGapCommands: AddCommands = (program, ports, end) => {
  const gaps = program
    .command('gaps')
    .description('what may be missing: ranges of the WAL of which not every change is here');
  withServiceOptions(gaps.command('list').description('those that nobody has accepted'))
    .option('--all', 'the accepted ones, too')
    .action(async (options: ListGapsOptions) => {
      const { listGaps } = await import('./gaps.ts');
      await end(listGaps(options, ports));
    });
  withServiceOptions(
    gaps
      .command('show')
      .description('one of them, with the SQL to look at it and what a repair reads again')
      .argument('<id>', 'as `list` shows it', parseCount),
  ).action(async (id: number, options: ServiceOptions) => {
    const { showGap } = await import('./gaps.ts');
    await end(showGap(id, options, ports));
  });
  withServiceOptions(
    gaps
      .command('accept')
      .description('let the sinks that they concern go on; with the service stopped, from the next start on')
      .argument('<ids...>', 'as `list` shows them', parseCounts),
  ).action(async (ids: number[], options: ServiceOptions) => {
    const { acceptGaps } = await import('./gaps.ts');
    await end(acceptGaps(ids, options, ports));
  });
  withServiceOptions(
    program
      .command('repair')
      .description('read the rows again that a gap can concern, and send them to its sinks')
      .argument('<database>', 'its name in the configuration'),
  )
    .option('--gap <id>', 'as `gaps list` shows it (default: the only one)', parseCount)
    .option('--dry-run', 'say what would be read, and begin nothing')
    .option('--orphans', 'of no gap: what a lost history has changed, after a failover or a restore')
    .option('--whole', 'every row of its tables, whatever is known of them')
    .option(
      '--keys <file>',
      'keys that the consumer has, one a line: those that --table does not have are sent as deletes',
    )
    .option('--table <table>', 'of which --keys are')
    .action(async (database: string, options: RepairOptions) => {
      const { repair } = await import('./repair.ts');
      await end(repair(database, options, ports));
    });
};

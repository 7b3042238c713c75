// The commands of backfills, as the command line defines them.
import { collected, parseCount, withServiceOptions, type AddCommands } from '../command.ts';
import type { ServiceOptions } from '../service-client.ts';
import type { ShowOptions } from './backfill.ts';
import type { StartOptions } from './start.ts';

const ID: readonly [string, string] = ['<id>', 'as `list` shows it'];

export const addBackfillCommands: AddCommands = (program, ports, end) => {
  const backfill = program
    .command('backfill')
    .description('rows that are there already, read for a sink beside the live changes');
  withServiceOptions(
    backfill
      .command('start')
      .description('read rows for a sink: they come as messages with the action `read`')
      .argument('[sink]', 'name, or database/name'),
  )
    .option('--all-sinks', 'for every sink of the database')
    .option('--database <name>', 'with --all-sinks, where there are several')
    .option('--table <schema.table>', 'only this table; may be given again', collected)
    .option('--where <sql>', 'only rows for which this is true, in Postgres itself')
    .option('--sort-column <column>', 'only rows whose value in this column is --from, or above it')
    .option('--from <value>', 'the smallest value of the sort column')
    .option('--keys <file>', 'only the rows with these keys: one a line, a value, or a JSON array of them')
    .option(
      '--workers <n>',
      'chunks of a table that are read at once (default: as the sink says)',
      parseCount,
    )
    .option('--max-rows-per-second <n>', 'not faster than this (default: as the sink says)', parseCount)
    .option('--full-speed', 'do not give way to live changes')
    .action(async (sink: string | undefined, options: StartOptions) => {
      const { start } = await import('./start.ts');
      await end(start(sink, options, ports));
    });
  withServiceOptions(
    backfill.command('list').description('what there is').argument('[sink]', 'name, or database/name'),
  ).action(async (sink: string | undefined, options: ServiceOptions) => {
    const { list } = await import('./backfill.ts');
    await end(list(sink, options, ports));
  });
  withServiceOptions(
    backfill
      .command('show')
      .description('one of them, with its tables')
      .argument(...ID),
  )
    .option('--watch', 'again and again, until it is over')
    .action(async (id: string, options: ShowOptions) => {
      const { show } = await import('./backfill.ts');
      await end(show(id, options, ports));
    });
  const verbs = [
    ['pause', 'stop reading; it goes on where it was when it is resumed'],
    ['resume', 'read on, also after a fault that was mended'],
    ['cancel', 'end it: what is in the log is delivered, nothing more is read'],
  ] as const;
  for (const [verb, description] of verbs) {
    withServiceOptions(
      backfill
        .command(verb)
        .description(description)
        .argument(...ID),
    ).action(async (id: string, options: ServiceOptions) => {
      const { move } = await import('./backfill.ts');
      await end(move(id, verb, options, ports));
    });
  }
};

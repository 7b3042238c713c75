// The commands that change what a running service does: status of sinks, rewinds, dead letters.
import { InvalidArgumentError, type Command } from 'commander';
import { parseCount, parseCounts, withServiceOptions, type AddCommands } from './command.ts';
import type { ActOptions, ListOptions } from './dead-letters.ts';
import type { RewindOptions } from './rewind.ts';
import type { ServiceOptions } from './service-client.ts';

const SINK: readonly [string, string] = ['<sink>', 'name, or database/name'];
const ID_LIST: readonly [string, string] = ['[ids...]', 'as `list` shows them'];

export const addSinkCommands: AddCommands = (program, ports, end) => {
  const verbs = [
    ['pause', 'paused', 'stop a sink; it holds its place in the log'],
    ['resume', 'active', 'let a sink run again'],
    ['disable', 'disabled', 'stop a sink; it holds nothing, and may miss changes'],
  ] as const;
  for (const [verb, status, description] of verbs) {
    const command = withServiceOptions(
      program
        .command(verb)
        .description(description)
        .argument(...SINK),
    );
    if (status !== 'active') {
      command.option('--now', 'do not wait for requests in flight: what they carry is sent again later');
    }
    command.action(async (sink: string, options: ServiceOptions & { now?: boolean }) => {
      const { setStatus } = await import('./sink-commands.ts');
      await end(setStatus(sink, status, options, ports));
    });
  }
  withServiceOptions(
    program
      .command('rewind')
      .description('deliver the changes again that are still in the log')
      .argument(...SINK)
      .option('--to <place>', 'all since an LSN, a time such as 2026-01-02T03:04:05Z, or earliest')
      .option('--to-row <table and key...>', 'those of one row: its table, and its key')
      .option('--where <sql>', 'those of the rows of a table that this is true of')
      .option('--table <table>', 'with --where: the table')
      .option('--dry-run', 'with --to-row or --where: say what would be sent, and send nothing')
      .option('--cancel', 'send nothing more of what --to-row and --where have begun'),
  ).action(async (sink: string, options: RewindOptions) => {
    const { rewind } = await import('./rewind.ts');
    await end(rewind(sink, options, ports));
  });
};

export const addDeadLetterCommands: AddCommands = (program, ports, end) => {
  const letters = program.command('dead-letters').description('messages that a destination refused for good');
  withChoice(letters.command('list').description('what there is').argument('[sink]', SINK[1]))
    .option('--limit <n>', 'at most so many a sink (default: 100)', parseCount)
    .option('--after <id>', 'only those after this one', parseCount)
    .action(async (sink: string | undefined, options: ListOptions) => {
      const { list } = await import('./dead-letters.ts');
      await end(list(sink, options, ports));
    });
  withServiceOptions(
    letters
      .command('show')
      .description('one of them, with its payload')
      .argument(...SINK)
      .argument('<id>', ID_LIST[1], parseCount),
  ).action(async (sink: string, id: number, options: ServiceOptions) => {
    const { show } = await import('./dead-letters.ts');
    await end(show(sink, id, options, ports));
  });
  withChoice(
    letters
      .command('replay')
      .description('send them again, in the order of their groups')
      .argument(...SINK)
      .argument(...ID_LIST, parseCounts),
  )
    .option('--all', 'all of the sink')
    .option('--rate <n>', 'messages a second (default: as fast as they go)', parseRate)
    .option('--force', 'also those of changes that the server does not have any more')
    .action(
      async (
        sink: string,
        ids: number[] | undefined,
        options: ActOptions & { rate?: number; force?: boolean },
      ) => {
        const { replay } = await import('./dead-letters.ts');
        await end(replay(sink, ids ?? [], options, ports));
      },
    );
  withChoice(
    letters
      .command('discard')
      .description('forget them')
      .argument(...SINK)
      .argument(...ID_LIST, parseCounts),
  )
    .option('--all', 'all of the sink')
    .action(async (sink: string, ids: number[] | undefined, options: ActOptions) => {
      const { discard } = await import('./dead-letters.ts');
      await end(discard(sink, ids ?? [], options, ports));
    });
};

const withChoice = (command: Command): Command =>
  withServiceOptions(command)
    .option('--table <schema.table>', 'only changes of this table')
    .option('--code <code>', 'only those refused with this code')
    .option('--since <time>', 'only those made since, such as 2026-01-02T03:04:05Z');

function parseRate(text: string): number {
  const rate = Number(text);
  if (!(rate > 0 && rate <= 100_000)) throw new InvalidArgumentError('Expected a number above 0.');
  return rate;
}

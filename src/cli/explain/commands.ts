// The commands that say what a sink does with changes, as the command line defines them.
import { InvalidArgumentError } from 'commander';
import { CONFIG_OPTION, parseCount, type AddCommands } from '../command.ts';
import { parsePlace } from './position.ts';
import type { ExplainCommandOptions } from './explain.ts';
import type { TryOptions } from './where-test.ts';

const SINK: readonly [string, string] = ['<sink>', 'name, or database/name'];
const DATA_DIR: readonly [string, string] = [
  '--data-dir <dir>',
  'where the service keeps its change log (default: ./tailrace-data)',
];

export const addExplainCommands: AddCommands = (program, ports, end) => {
  program
    .command('explain')
    .description('say what a sink does with changes of the log, step by step, delivering nothing')
    .argument(...SINK)
    .option(
      '--position <lsn:index>',
      'of one change, as messages have it (commit_lsn, commit_idx); without an index: of a transaction',
      (text: string) => parsePlace(text) ?? refuse('Expected 16/B374D848:0, or commit_lsn:commit_idx.'),
    )
    .option('--last <n>', 'of the last changes in the log (default: 10)', parseCount)
    .option(...CONFIG_OPTION)
    .option(...DATA_DIR)
    .option('--json', 'machine-readable, a line for each change')
    .action(async (sink: string, options: ExplainCommandOptions) => {
      const { explain } = await import('./explain.ts');
      await end(explain(sink, options, ports));
    });
  const where = program.command('where').description('filters in SQL');
  where
    .command('test')
    .description("try a condition on the changes in the log that are of a sink's tables and actions")
    .argument(...SINK)
    .argument('<condition>', "SQL, in the place of the sink's own where and those of its tables")
    .option('--last <n>', 'only the last such changes (default: all that the log has)', parseCount)
    .option('--samples <n>', 'of each kind and table show so many (default: 3)', parseCount)
    .option(...CONFIG_OPTION)
    .option(...DATA_DIR)
    .option('--json', 'machine-readable')
    .action(async (sink: string, condition: string, options: TryOptions) => {
      const { tryCondition } = await import('./where-test.ts');
      await end(tryCondition(sink, condition, options, ports));
    });
};

function refuse(message: string): never {
  throw new InvalidArgumentError(message);
}

// The command line: which commands and options there are, and which exit code an ending gets.
import { Command, CommanderError, Option } from 'commander';
import { ConfigError, formatFault } from '../config/file/faults.ts';
import { describeError, TailraceError } from '../core/errors.ts';
import { DEFAULT_FORMAT, formatNames, type FormatName } from '../formats/names.ts';
import { redactUrlPasswords } from '../telemetry/redaction.ts';
import { terminalOutput, visibleLines } from '../telemetry/terminal-text.ts';
import {
  CONFIG_OPTION,
  parseCount,
  parseSeconds,
  withServiceOptions,
  type AddCommands,
  type Ending,
} from './command.ts';
import { addCompletionCommands } from './completion/commands.ts';
import { addDeadLetterCommands, addSinkCommands } from './control-commands.ts';
import { addHandoverCommands } from './handover-commands.ts';
import { addExamples, pathOf } from './examples.ts';
import { addExplainCommands } from './explain/commands.ts';
import { addSlotCommands } from './slots/commands.ts';
import { addTypesCommand } from './types/commands.ts';
import { addBackfillCommands } from './backfill/commands.ts';
import { addGapCommands } from './gaps/commands.ts';
import { addHelpCommands } from './help-commands.ts';
import { widthOf, wrap } from './layout.ts';
import {
  errorDocument,
  EXIT,
  painterFor,
  USAGE,
  writeJson,
  writeLine,
  type CliPorts,
  type Output,
} from './ports.ts';
import type { StatusOptions } from './status.ts';

/** Runs one command line and resolves with the exit code. */
export async function runCli(argv: readonly string[], given: CliPorts): Promise<number> {
  const ports = { ...given, stdout: terminalOutput(given.stdout), stderr: terminalOutput(given.stderr) };
  // A reader that has gone (`| head`) is no fault; commands that go on for long listen for themselves.
  for (const output of [ports.stdout, ports.stderr]) output.on?.('error', () => undefined);
  let exitCode: number = EXIT.ok;
  let json = false;
  const program = createProgram(ports, async (ending) => {
    exitCode = await ending;
  });
  program.hook('preAction', (_program, command) => {
    json = command.opts<{ json?: boolean }>().json === true;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(error, ports, json);
  }
}

/** With --json an error is JSON too, where the answer would have been. */
function report(error: unknown, ports: CliPorts, json: boolean): number {
  const { stdout, stderr, env } = ports;
  // commander has written its own message already; --help and --version end with code 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ConfigError) {
    if (json) writeJson(stdout, { ok: false, faults: error.faults }, 2);
    else for (const fault of error.faults) writeLine(stderr, formatFault(fault));
    return EXIT.usage;
  }
  const exitCode = error instanceof TailraceError && error.code === USAGE ? EXIT.usage : EXIT.no;
  if (json && error instanceof TailraceError) {
    writeJson(stdout, errorDocument(error), 2);
    return exitCode;
  }
  const label = painterFor(stderr, env)('red', 'error:');
  stderr.write(`${label} ${visibleLines(redactUrlPasswords(describeError(error)), '    ')}\n`);
  // What nobody foresaw needs its stack to be found.
  if (!(error instanceof TailraceError) && error instanceof Error && error.stack !== undefined) {
    stderr.write(`${visibleLines(redactUrlPasswords(error.stack), '    ')}\n`);
  }
  return exitCode;
}

/** The whole tree of commands. */
export function createProgram(ports: CliPorts, end: (ending: Ending) => Promise<void>): Command {
  const program = new Command('tailrace')
    .description('Postgres row changes, delivered exactly, in order and fast.')
    .version(ports.version)
    .configureOutput({
      writeOut: (text) => void ports.stdout.write(text),
      writeErr: (text) => void ports.stderr.write(text),
      getOutHelpWidth: () => helpWidth(ports.stdout),
      getErrHelpWidth: () => helpWidth(ports.stderr),
    })
    .configureHelp({
      minWidthToWrap: MIN_HELP_COLUMNS,
      styleUsage: (text) => wrap(text, helpWidth(ports.stdout) - 'Usage: '.length, '  ').join('\n'),
    })
    .exitOverride();
  addServiceCommands(program, ports, end);
  addReadingCommands(program, ports, end);
  addSinkCommands(program, ports, end);
  addExplainCommands(program, ports, end);
  addTypesCommand(program, ports, end);
  addDeadLetterCommands(program, ports, end);
  addGapCommands(program, ports, end);
  addBackfillCommands(program, ports, end);
  addHandoverCommands(program, ports, end);
  addSlotCommands(program, ports, end);
  addCompletionCommands(program, ports, end);
  addHelpCommands(program);
  showWhereHelpIs(program);
  const paint = painterFor(ports.stdout, ports.env);
  addExamples(program, (text) => paint('dim', text));
  return program;
}

/** After an error: the help of the command that was meant. */
function showWhereHelpIs(command: Command): void {
  command.showHelpAfterError(`(try "${['tailrace', pathOf(command), '--help'].filter(Boolean).join(' ')}")`);
  command.commands.forEach(showWhereHelpIs);
}

const helpWidth = (output: Output): number => Math.min(widthOf(output), MAX_HELP_COLUMNS);

/** Of a description beside its term; where there is less it is not wrapped. */
const MIN_HELP_COLUMNS = 20;

/** Longer lines are not read easily. */
const MAX_HELP_COLUMNS = 100;

const addServiceCommands: AddCommands = (program, ports, end) => {
  program
    .command('run')
    .description('run the service')
    .option(...CONFIG_OPTION)
    .option('--data-dir <dir>', 'where the change log and the state live (default: ./tailrace-data)')
    .action(async (options: { config?: string; dataDir?: string }) => {
      const { run } = await import('./run.ts');
      await end(run(options, ports));
    });
  program
    .command('check')
    .description('validate the configuration, offline')
    .option(...CONFIG_OPTION)
    .option(
      '--database',
      'connect to the databases, too: do they have the tables and columns that it names, and do writes work on them?',
    )
    .option('--json', 'machine-readable')
    .action(async (options: { config?: string; json?: boolean; database?: boolean }) => {
      const { check } = await import('./check.ts');
      await end(check(options, ports));
    });
  program
    .command('doctor')
    .description('connect and list what is missing in Postgres and at each sink, with the cure')
    .option(...CONFIG_OPTION)
    .option('--json', 'machine-readable')
    .action(async (options: { config?: string; json?: boolean }) => {
      const { doctor } = await import('./doctor.ts');
      await end(doctor(options, ports));
    });
};

const addReadingCommands: AddCommands = (program, ports, end) => {
  withServiceOptions(
    program.command('status').description('show sinks, positions and lag of a running service'),
  )
    .option('--watch', 'again and again, until interrupted')
    .addOption(
      new Option('--interval <seconds>', 'how often (default: 2)')
        .argParser(parseSeconds)
        .implies({ watch: true }),
    )
    .addOption(
      new Option('--check [from]', 'for probes: the exit code says how it is; complain from this state on')
        .choices(['degraded', 'halted'])
        .preset('degraded')
        .conflicts('watch'),
    )
    .addOption(
      new Option(
        '--orphans',
        'list what was delivered of histories that a failover or a restore has lost',
      ).conflicts(['watch', 'check']),
    )
    .action(async (options: StatusOptions) => {
      const { status } = await import('./status.ts');
      await end(status(options, ports));
    });
  program
    .command('tail')
    .description('print changes as JSON lines, from a temporary slot, until interrupted')
    .argument('<url>', 'postgresql://user:password@host:port/database')
    .option('--table <schema.table...>', 'only these tables')
    .option('--publication <name>', 'an existing publication; without it a temporary one is made')
    .addOption(
      new Option('--format <format>', 'of the messages').choices(formatNames).default(DEFAULT_FORMAT),
    )
    .action(async (url: string, options: { table?: string[]; publication?: string; format: FormatName }) => {
      const { tail } = await import('./tail/tail.ts');
      await end(tail(url, options, ports));
    });
  program
    .command('demo')
    .description('watch changes travel: a Postgres, an SQS emulator, the service, a workload and a consumer')
    .option('--rows <n>', 'end after so many row changes, and say whether each came exactly once', parseCount)
    .option(
      '--keep [dir]',
      'keep tailrace.yaml, the data and the Postgres cluster in a directory (default: ./tailrace-demo), and go on with what an earlier demo has kept there; the emulator keeps nothing',
    )
    .action(async (options: { rows?: number; keep?: string | true }) => {
      const { demo } = await import('./demo/demo.ts');
      await end(demo(options, ports));
    });
};

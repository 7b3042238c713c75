// The command line: which commands and options there are, and which exit code an ending gets.
import { Command, CommanderError, Option } from 'commander';
import { ConfigError, formatFault } from '../config/file/faults.ts';
import { describeError, TailraceError } from '../core/errors.ts';
import { DEFAULT_FORMAT, formatNames, type FormatName } from '../formats/registry.ts';
import { redactUrlPasswords } from '../telemetry/redaction.ts';
import { CONFIG_OPTION, parseCount, withServiceOptions, type AddCommands, type Ending } from './command.ts';
import { addDeadLetterCommands, addSinkCommands } from './control-commands.ts';
import { EXIT, painterFor, USAGE, writeLine, type CliPorts } from './ports.ts';
import type { ServiceOptions } from './service-client.ts';

/** Runs one command line and resolves with the exit code. */
export async function runCli(argv: readonly string[], ports: CliPorts): Promise<number> {
  // A reader that has gone (`| head`) is no fault; commands that go on for long listen for themselves.
  ports.stdout.on?.('error', () => undefined);
  let exitCode: number = EXIT.ok;
  const program = createProgram(ports, async (ending) => {
    exitCode = await ending;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    return report(error, ports);
  }
}

function report(error: unknown, ports: CliPorts): number {
  const { stderr, env } = ports;
  // commander has written its own message already; --help and --version end with code 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ConfigError) {
    for (const fault of error.faults) writeLine(stderr, formatFault(fault));
    return EXIT.usage;
  }
  const label = painterFor(stderr, env)('red', 'error:');
  writeLine(stderr, `${label} ${redactUrlPasswords(describeError(error))}`);
  // What nobody foresaw needs its stack to be found.
  if (!(error instanceof TailraceError) && error instanceof Error && error.stack !== undefined) {
    writeLine(stderr, redactUrlPasswords(error.stack));
  }
  return error instanceof TailraceError && error.code === USAGE ? EXIT.usage : EXIT.no;
}

function createProgram(ports: CliPorts, end: (ending: Ending) => Promise<void>): Command {
  const program = new Command('tailrace')
    .description('Postgres row changes, delivered exactly, in order and fast.')
    .version(ports.version)
    .configureOutput({
      writeOut: (text) => void ports.stdout.write(text),
      writeErr: (text) => void ports.stderr.write(text),
    })
    .exitOverride()
    .showHelpAfterError('(try "tailrace --help")');
  addServiceCommands(program, ports, end);
  addReadingCommands(program, ports, end);
  addSinkCommands(program, ports, end);
  addDeadLetterCommands(program, ports, end);
  return program;
}

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
    .option('--json', 'machine-readable')
    .action(async (options: { config?: string; json?: boolean }) => {
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
  ).action(async (options: ServiceOptions) => {
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
    .action(async (options: { rows?: number }) => {
      const { demo } = await import('./demo/demo.ts');
      await end(demo(options, ports));
    });
};

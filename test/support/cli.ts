// The process that a command believes to run in: what it wrote, and a way to interrupt it.
import { runCli } from '../../src/cli/program.ts';
import type { CliPorts, Output } from '../../src/cli/ports.ts';
import type { RunningService } from '../../src/pipeline/service/service.ts';
import type { ServiceStatus } from '../../src/core/status.ts';
import { serviceStatus } from './status.ts';

export type CliRun = {
  readonly code: Promise<number>;
  /** Codes that the command ended the process with at once. */
  readonly exits: number[];
  stdout(): string;
  stderr(): string;
  interrupt(): void;
  /** What the reader of standard output does when it goes away. */
  closeStdout(): void;
};

export function startCli(
  argv: readonly string[],
  {
    terminal = {},
    ...ports
  }: Partial<Pick<CliPorts, 'startService' | 'env' | 'cwd' | 'stdout' | 'stderr'>> & {
    /** What standard output is. */
    readonly terminal?: Pick<Output, 'isTTY' | 'columns' | 'rows'>;
  } = {},
): CliRun {
  const written = { stdout: '', stderr: '' };
  const exits: number[] = [];
  const interrupts = new Set<() => void>();
  const closed = new Set<(error: Error) => void>();
  const code = runCli(argv, {
    startService: () => Promise.reject(new Error('this command starts no service')),
    version: '1.2.3',
    env: {},
    cwd: '/nowhere',
    stdout: {
      write: (text) => (written.stdout += text),
      on: (_event, listener) => closed.add(listener),
      ...terminal,
    },
    stderr: { write: (text) => (written.stderr += text) },
    onInterrupt: (listener) => {
      interrupts.add(listener);
      return () => interrupts.delete(listener);
    },
    exit: (exitCode) => exits.push(exitCode),
    ...ports,
  });
  return {
    code,
    exits,
    stdout: () => written.stdout,
    stderr: () => written.stderr,
    interrupt: () => interrupts.forEach((listener) => listener()),
    closeStdout: () => closed.forEach((listener) => listener(new Error('write EPIPE'))),
  };
}

/** A service that does nothing until it is stopped, or until `fail`. */
export function fakeService(
  status: () => ServiceStatus = serviceStatus,
): RunningService & { readonly stops: () => number; fail(): void } {
  let stops = 0;
  let end!: (ending: { exitCode: number }) => void;
  const ended = new Promise<{ exitCode: number }>((done) => (end = done));
  return {
    status,
    apiUrl: undefined,
    ended,
    stop: async () => {
      stops++;
      end({ exitCode: 0 });
    },
    stops: () => stops,
    fail: () => end({ exitCode: 1 }),
  };
}

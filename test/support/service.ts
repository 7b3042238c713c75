// The real service as a user starts it: a process of its own, ended by its process id, its log read line by line.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { HealthDocument } from '../../src/pipeline/service/health.ts';
import { waitFor } from './wait.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');
export const FAKE_AWS = {
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_REGION: 'us-east-1',
  // The machine that runs the tests is not in AWS: nobody answers there.
  AWS_EC2_METADATA_DISABLED: 'true',
} as const;
/** The same, for clients of the SDK. */
export const FAKE_AWS_CLIENT = {
  region: FAKE_AWS.AWS_REGION,
  credentials: {
    accessKeyId: FAKE_AWS.AWS_ACCESS_KEY_ID,
    secretAccessKey: FAKE_AWS.AWS_SECRET_ACCESS_KEY,
  },
} as const;

export type LogEntry = { level: string; msg?: string } & Record<string, unknown>;

/** What a log line says to whoever reads it: itself, and the error that it is about, with its cure. */
const textOf = ({ msg, err }: LogEntry): string => {
  const { message, hint } = (err ?? {}) as { readonly message?: string; readonly hint?: string };
  return [msg, message, hint].filter((text) => text !== undefined).join('\n');
};

/** Everything that a process said, on standard output and standard error. */
export const saidBy = ({ log, printed }: Pick<ServiceProcess, 'log' | 'printed'>): string =>
  [...log.map(textOf), ...printed].join('\n');

export type ServiceProcess = {
  readonly child: ChildProcess;
  readonly log: LogEntry[];
  /** What it printed that is no log line, and on standard error. */
  readonly printed: string[];
  /** Resolves to the exit code (null after a signal). */
  readonly ended: Promise<number | null>;
  /** Where its API listens. */
  apiUrl(): Promise<string>;
  /** The health document; throws while nobody answers. */
  health(): Promise<HealthDocument>;
  /** Waits until every source streams. */
  ready(): Promise<void>;
  /** SIGTERM, then the exit code. */
  stop(): Promise<number | null>;
  /** kill -9. */
  kill(): Promise<void>;
  /** Ends the process if it still runs; says how it stood when the test failed. */
  end(task: { readonly result?: { readonly state?: string } }): Promise<void>;
  /** Resident memory in MiB, as the kernel says: the most so far. */
  peakRssMiB(): number;
};

/** A directory of its own for configuration and data, and its removal. */
export function createWorkDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'tailrace-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function startService(options: {
  /** Text of tailrace.yaml; undefined: the environment says everything. */
  readonly config?: string;
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[];
  /** Another entry than the sources': the built one. */
  readonly main?: string;
  /** The file descriptors that it may have, if not as many as this process. */
  readonly descriptors?: number | undefined;
  /** What its command stands behind: a program that becomes it. */
  readonly entrance?: readonly string[];
}): ServiceProcess {
  const args = ['run', ...(options.args ?? [])];
  if (options.config !== undefined) {
    const file = join(options.directory, 'tailrace.yaml');
    writeFileSync(file, options.config);
    args.push('-c', file);
  }
  const command = [
    ...(options.entrance ?? []),
    process.execPath,
    ...(options.nodeArgs ?? []),
    options.main ?? MAIN,
    ...args,
  ];
  const limit = options.descriptors;
  // The shell becomes Node, so that the process is the same.
  const limited = ['sh', '-c', `ulimit -n ${limit} && exec "$@"`, 'sh', ...command];
  const [program, ...parameters] = limit === undefined ? command : limited;
  const child = spawn(program!, parameters, {
    cwd: options.directory,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: options.directory,
      TAILRACE_DATA_DIR: join(options.directory, 'data'),
      ...FAKE_AWS,
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: LogEntry[] = [];
  const printed: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    try {
      log.push(JSON.parse(line) as LogEntry);
    } catch {
      printed.push(line);
    }
  });
  createInterface({ input: child.stderr }).on('line', (line) => printed.push(line));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  const describe = (): string => JSON.stringify([...log.slice(-5), ...printed.slice(-10)], undefined, 1);
  const endedError = (): Error =>
    new Error(`the service ended with ${child.exitCode ?? child.signalCode}: ${describe()}`);

  const apiUrl = async (): Promise<string> => {
    const entry = await waitFor(() => {
      if (hasEnded()) throw endedError();
      return log.find(({ msg }) => msg === 'api listens');
    }, `the API's address in the log, last: ${describe()}`);
    return String(entry['url']);
  };
  const service: ServiceProcess = {
    child,
    log,
    printed,
    ended,
    apiUrl,
    health: async () => {
      const response = await fetch(`${await apiUrl()}/health`);
      return (await response.json()) as HealthDocument;
    },
    ready: async () => {
      const url = await apiUrl();
      await waitFor(async () => {
        if (hasEnded()) throw endedError();
        return (await fetch(`${url}/ready`).catch(() => undefined))?.status === 200;
      }, 'the service to stream');
    },
    stop: async () => {
      child.kill('SIGTERM');
      return ended;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
    end: async (task) => {
      if (task.result?.state === 'fail') {
        const health = hasEnded()
          ? `ended: ${child.exitCode ?? child.signalCode}`
          : await service.health().catch(String);
        console.error(JSON.stringify({ health, log: log.slice(-20), printed }, undefined, 1));
      }
      if (!hasEnded()) await service.kill();
    },
    peakRssMiB: () => {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
    },
  };
  return service;
}

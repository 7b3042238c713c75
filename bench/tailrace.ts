// The service under measurement: the real one, in a process of its own, with a fresh data directory.
import { join, resolve } from 'node:path';
import { startService, type ServiceProcess } from '../test/support/service.ts';
import { cpuUsOf } from './process-figures.ts';
import { whenActive } from './slots.ts';
import type { Database, Workbench } from './workbench.ts';

export type BenchSink = {
  readonly name: string;
  readonly queue: string;
  readonly table: string;
  /** More keys of the sink, and of its destination, as they stand in YAML. */
  readonly options?: Readonly<Record<string, string>>;
  readonly destination?: Readonly<Record<string, string>>;
};

export type TailraceOptions = {
  readonly database: Database;
  readonly slot: string;
  readonly publication: string;
  readonly sinks: readonly BenchSink[];
  /** More keys of `slot`. */
  readonly slotOptions?: Readonly<Record<string, string>>;
  /** Another program than the built one. */
  readonly main?: string;
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[];
};

export type Tailrace = {
  readonly service: ServiceProcess;
  readonly pid: number;
  readonly dataDirectory: string;
  /** `promise`, unless the service ends before. */
  until<T>(promise: Promise<T>): Promise<T>;
  /** SIGTERM; it must end well. */
  stop(): Promise<void>;
};

/** What is published: `npm run bench` builds it first. */
export const BUILT_MAIN = resolve(import.meta.dirname, '../dist/main.js');
export const SOURCES_MAIN = resolve(import.meta.dirname, '../src/main.ts');

/** `directory` holds configuration and data; started again on the same one, the service goes on where it was. */
export function startTailrace(bench: Workbench, directory: string, options: TailraceOptions): Tailrace {
  const service = startService({
    directory,
    config: configOf(options, bench.destination.url),
    env: bench.destination.env,
    main: options.main ?? BUILT_MAIN,
    entrance: bench.confinement?.entrance ?? [],
    nodeArgs: [
      ...(options.nodeArgs ?? []),
      ...(bench.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${bench.profile}`]),
    ],
  });
  const forget = bench.onEnd(() => service.kill());
  const ended = service.ended.then((code) => {
    forget();
    const said = [
      ...service.log.slice(-10).map((entry) => JSON.stringify(entry)),
      ...service.printed.slice(-10),
    ];
    const killed = (bench.confinement?.outOfMemoryKills() ?? 0) > 0 ? ', out of memory' : '';
    throw new Error(`the service ended with code ${code}${killed}:\n${said.join('\n')}`);
  });
  ended.catch(() => undefined);
  return {
    service,
    pid: service.child.pid!,
    dataDirectory: join(directory, 'data'),
    until: (promise) => Promise.race([promise, ended]),
    stop: async () => {
      const code = await service.stop();
      if (code !== 0) bench.fault(`the service ended with code ${code}`);
    },
  };
}

const flow = (keys: Readonly<Record<string, string>> = {}): string =>
  Object.entries(keys)
    .map(([key, value]) => `, ${key}: ${value}`)
    .join('');

export function configOf(options: TailraceOptions, endpointUrl: string): string {
  const { database, slot, publication, sinks, slotOptions } = options;
  const sinkTexts = sinks.map(
    ({ name, queue, table, options: more, destination }) =>
      `  - { name: ${name}, database: bench, source: { include_tables: [public.${table}] }${flow(more)},
      destination: { type: sqs, queue_name: ${queue}, create_if_not_exists: true, region: us-east-1, emulator_base_url: "${endpointUrl}"${flow(destination)} } }`,
  );
  return `
databases:
  - { name: bench, hostname: 127.0.0.1, port: ${database.port}, database: ${database.name}, username: postgres, password: postgres,
      slot: { name: ${slot}, create_if_not_exists: true${flow(slotOptions)} }, publication: { name: ${publication} } }
sinks:${sinks.length === 0 ? ' []' : `\n${sinkTexts.join('\n')}`}
api: { listen: "127.0.0.1:0" }
metrics: { listen: off }
`;
}

/** How long a process must have done next to nothing to count as idle, and what next to nothing is. */
const IDLE_MS = 500;
const IDLE_CPU_US = 10_000;

/** CPU of a start that finds nothing to do, microseconds: what a run pays before its first change. */
export async function startUpCpuUs(bench: Workbench, options: TailraceOptions): Promise<number> {
  const directory = bench.newDirectory();
  const tailrace = startTailrace(bench, directory.path, options);
  await tailrace.until(whenActive(options.database, options.slot));
  let cpuUs = 0;
  for (;;) {
    const now = cpuUsOf(tailrace.pid) ?? 0;
    // A profile is taken every millisecond, idle or not.
    if (now - cpuUs <= IDLE_CPU_US || bench.profile !== undefined) break;
    cpuUs = now;
    await new Promise((done) => setTimeout(done, IDLE_MS));
  }
  await tailrace.stop();
  directory.remove();
  return cpuUs;
}

// What every end-to-end test stands on: a database, an SQS endpoint with a fault proxy before it, a directory, the service.
import { afterEach, beforeEach } from 'vitest';
import { configText, type SinkText } from './config.ts';
import { startFaultProxy, type FaultProxy } from './fault-proxy.ts';
import { createTestDatabase, type TestDatabase } from './postgres.ts';
import { createWorkDirectory, startService, type ServiceProcess } from './service.ts';
import { startSqsRecorder, type SqsRecorder } from './sqs-recorder.ts';

export type EndToEnd = {
  readonly database: TestDatabase;
  readonly recorder: SqsRecorder;
  readonly proxy: FaultProxy;
  /** Of the configuration and the data. */
  readonly directory: string;
  /** The service started last. */
  readonly service: ServiceProcess;
  /** tailrace.yaml for these sinks, straight to the recorder or through the proxy. */
  config(options: {
    readonly sinks: readonly SinkText[];
    readonly faulty?: boolean;
    readonly slot?: string;
    readonly publication?: string;
    readonly databaseExtra?: string;
  }): string;
  /** Starts the service and returns at once. */
  launch(how: Start): ServiceProcess;
  /** Starts the service and waits until it streams. */
  start(how: Start): Promise<ServiceProcess>;
};

type Start = Pick<Parameters<typeof startService>[0], 'config' | 'env' | 'nodeArgs' | 'descriptors'>;

/** Call it once at the top of a file: everything is made anew for each test, and gone after it. */
export function endToEnd(
  options: { readonly createMissing?: boolean; readonly encoding?: string } = {},
): EndToEnd {
  let database: TestDatabase;
  let recorder: SqsRecorder;
  let proxy: FaultProxy;
  let directory: ReturnType<typeof createWorkDirectory>;
  let service: ServiceProcess | undefined;

  beforeEach(async () => {
    database = await createTestDatabase(undefined, options.encoding);
    recorder = await startSqsRecorder({ createMissing: options.createMissing ?? false });
    proxy = await startFaultProxy(recorder.url);
    directory = createWorkDirectory();
  });
  afterEach(async ({ task }) => {
    await service?.end(task);
    service = undefined;
    await proxy.stop();
    await recorder.stop();
    await database.drop();
    directory.remove();
  });

  const world: EndToEnd = {
    get database() {
      return database;
    },
    get recorder() {
      return recorder;
    },
    get proxy() {
      return proxy;
    },
    get directory() {
      return directory.path;
    },
    get service() {
      if (service === undefined) throw new Error('the service was not started');
      return service;
    },
    config: ({ faulty = false, ...options }) =>
      configText({
        database,
        endpoint: faulty ? proxy.url : recorder.url,
        ...options,
      }),
    launch: (how) => (service = startService({ directory: directory.path, ...how })),
    start: async (how) => {
      const started = world.launch(how);
      await started.ready();
      return started;
    },
  };
  return world;
}

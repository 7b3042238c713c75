// The operations on sinks over a real store in memory, with a sink thread that a test programs.
import { createControl, type ControlPorts, type ServiceControl } from '../../src/pipeline/service/control.ts';
import type { SinkStatus, WantedStatus } from '../../src/core/status.ts';
import type { SinkRequest } from '../../src/pipeline/sink/requests.ts';
import type { SinkThread } from '../../src/pipeline/sink/thread.ts';
import { openStore, type Store } from '../../src/store/sqlite.ts';
import { databaseStatus, sinkStatus } from './status.ts';

export type TestControl = ServiceControl & {
  readonly store: Store;
  /** What the sinks were asked, and what a sink was told to start as. */
  readonly asked: (readonly [sink: string, request: SinkRequest | WantedStatus | 'backfills changed'])[];
};

export function testControl(
  options: {
    readonly sinks?: readonly SinkStatus[];
    readonly settings?: ControlPorts['settings'];
    readonly checkBackfill?: ControlPorts['checkBackfill'];
    /** Undefined: nothing runs yet. */
    readonly answer?: (sink: string, request: SinkRequest) => unknown;
  } = {},
): TestControl {
  const store = openStore(':memory:');
  const asked: [string, SinkRequest | WantedStatus | 'backfills changed'][] = [];
  const { sinks = [sinkStatus()], answer } = options;
  const request = async (sink: string, request: SinkRequest): Promise<unknown> => {
    asked.push([sink, request]);
    return answer?.(sink, request);
  };
  const control = createControl({
    store,
    topology: {
      databases: () => [databaseStatus()],
      sinks: () => sinks,
      threadOf: () => (answer === undefined ? undefined : { request: request as SinkThread['request'] }),
      backfillsChanged: (database) => void asked.push([database, 'backfills changed']),
      startAs: ({ sink }, status) => void asked.push([sink, status]),
    },
    settings: options.settings ?? { databases: [], sinks: [] },
    checkBackfill: options.checkBackfill,
    configuredStatus: () => 'active',
  });
  return { ...control, store, asked };
}

// Starts the reference `plain client` in a process of its own.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Workbench } from '../workbench.ts';
import type { PlainClientOptions, PlainClientStarted } from './plain-client-process.ts';

export type PlainClient = {
  readonly child: ChildProcess;
  readonly started: Promise<PlainClientStarted>;
  /** `promise`, unless it ends before. */
  until<T>(promise: Promise<T>): Promise<T>;
  stop(): Promise<void>;
};

export function startPlainClient(bench: Workbench, options: PlainClientOptions): PlainClient {
  const child = fork(resolve(import.meta.dirname, 'plain-client-process.ts'), [JSON.stringify(options)], {
    stdio: 'inherit',
    env: { ...process.env, ...bench.destination.env },
  });
  const closed = once(child, 'close');
  const ended = closed.then(([code]) => {
    throw new Error(`the plain client ended with code ${String(code)}`);
  });
  ended.catch(() => undefined);
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await closed;
  };
  const forget = bench.onEnd(stop);
  return {
    child,
    started: once(child, 'message').then(([message]) => message as PlainClientStarted),
    until: (promise) => Promise.race([promise, ended]),
    stop: async () => {
      forget();
      await stop();
    },
  };
}

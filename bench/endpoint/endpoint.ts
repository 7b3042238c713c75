// The bench's handle of the endpoint process.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { calibrateClock } from '../clock.ts';
import type {
  EndpointAnswer,
  EndpointCommand,
  EndpointReady,
  EndpointRequest,
  Network,
  QueueMode,
  QueueReport,
} from './protocol.ts';

/** MiB. Messages die young: with room for many of them, almost nothing is copied by the garbage collector. */
const YOUNG_GENERATION = ['--max-semi-space-size=64'];

export type Endpoint = {
  readonly url: string;
  /** The same queues over TLS; undefined: it was started without a certificate. */
  readonly tlsUrl: string | undefined;
  readonly child: ChildProcess;
  /** Forgets what was accepted; every process' clock is calibrated anew. */
  reset(): Promise<void>;
  /** Latencies of changes committed from now on are kept, others not. */
  sample(fromMs: number): Promise<void>;
  setMode(queue: string, mode: QueueMode): Promise<void>;
  setNetwork(network: Network): Promise<void>;
  /** Resolves once the queue has accepted so many changes, or nothing new for minutes: then the report tells. */
  waitFor(queue: string, accepted: number): Promise<void>;
  report(queue: string): Promise<QueueReport>;
  stop(): Promise<void>;
};

/** Files of a certificate and its key: PEM. */
export type CertificateFiles = { readonly cert: string; readonly key: string };

export async function startEndpoint(certificate?: CertificateFiles): Promise<Endpoint> {
  const files = certificate === undefined ? [] : [certificate.cert, certificate.key];
  const child = fork(resolve(import.meta.dirname, 'main.ts'), files, {
    stdio: 'inherit',
    serialization: 'advanced',
    execArgv: YOUNG_GENERATION,
  });
  const [{ url, tlsUrl }] = (await once(child, 'message')) as [EndpointReady];
  const waiting = new Map<number, PromiseWithResolvers<EndpointAnswer>>();
  let lastId = 0;
  child.on('message', (answer: EndpointAnswer) => {
    waiting.get(answer.id)?.resolve(answer);
    waiting.delete(answer.id);
  });
  child.once('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the endpoint ended with code ${code}`));
  });
  const ask = (command: EndpointCommand): Promise<EndpointAnswer> => {
    const answer = Promise.withResolvers<EndpointAnswer>();
    const id = ++lastId;
    waiting.set(id, answer);
    child.send({ id, command } satisfies EndpointRequest);
    return answer.promise;
  };
  const tell = async (command: EndpointCommand): Promise<void> => void (await ask(command));
  return {
    url,
    tlsUrl,
    child,
    reset: () => {
      calibrateClock();
      return tell({ do: 'reset' });
    },
    sample: (fromMs) => tell({ do: 'sample', fromMs }),
    setMode: (queue, mode) => tell({ do: 'mode', queue, mode }),
    setNetwork: (network) => tell({ do: 'network', network }),
    waitFor: (queue, accepted) => tell({ do: 'wait', queue, accepted }),
    report: async (queue) => (await ask({ do: 'report', queue })).report!,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

// The endpoint's own process: serves SQS, obeys the bench over the IPC channel, ends with it.
import { readFileSync } from 'node:fs';
import { calibrateClock } from '../clock.ts';
import type { EndpointAnswer, EndpointReady, EndpointRequest } from './protocol.ts';
import { BenchQueue } from './queue.ts';
import { startEndpointServer } from './server.ts';

const queues = new Map<string, BenchQueue>();
let cpuAtReset = process.cpuUsage();
let sampleFromMs = Infinity;

function queueOf(name: string): BenchQueue {
  let queue = queues.get(name);
  if (queue === undefined) {
    queue = new BenchQueue(cpuAtReset);
    queue.sample(sampleFromMs);
    queues.set(name, queue);
  }
  return queue;
}

const [certFile, keyFile] = process.argv.slice(2);
const certificate =
  certFile === undefined || keyFile === undefined
    ? undefined
    : { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
const endpoint = await startEndpointServer(queueOf, certificate);

async function obey({ id, command }: EndpointRequest): Promise<EndpointAnswer> {
  switch (command.do) {
    case 'reset':
      queues.clear();
      endpoint.dropStalled();
      endpoint.network = { rttMs: 0 };
      calibrateClock();
      cpuAtReset = process.cpuUsage();
      sampleFromMs = Infinity;
      return { id };
    case 'sample':
      sampleFromMs = command.fromMs;
      for (const queue of queues.values()) queue.sample(command.fromMs);
      return { id };
    case 'mode':
      queueOf(command.queue).mode = command.mode;
      if (command.mode === 'serving') endpoint.dropStalled();
      return { id };
    case 'network':
      endpoint.network = command.network;
      return { id };
    case 'wait':
      await queueOf(command.queue).reached(command.accepted);
      return { id };
    case 'report':
      return { id, report: queueOf(command.queue).report() };
    default:
      return command satisfies never;
  }
}

// Ctrl-C reaches the whole group of processes: the bench ends this one in good order.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(0));
process.on('message', (request: EndpointRequest) => {
  void obey(request).then((answer) => process.send!(answer));
});
process.send!({ url: endpoint.url, tlsUrl: endpoint.tlsUrl } satisfies EndpointReady);

// Starts the proof's consumer, and asks it.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Workbench } from '../workbench.ts';
import type { Consumed, ConsumerAnswer, ConsumerQuestion, ConsumerRequest } from './consumer-process.ts';

export type Consumer = {
  readonly url: string;
  figures(): Promise<Consumed>;
  /** How many rows it has otherwise than the table. */
  compare(url: string): Promise<number>;
};

/** Of the messages of one queue; `maxRows`: no row has a larger id. It ends with the bench. */
export async function startConsumer(bench: Workbench, queue: string, maxRows: number): Promise<Consumer> {
  const child = fork(resolve(import.meta.dirname, 'consumer-process.ts'), [String(maxRows), queue], {
    stdio: 'inherit',
  });
  bench.onEnd(async () => void child.kill('SIGKILL'));
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  const waiting = new Map<number, (answer: ConsumerAnswer) => void>();
  child.on('message', (answer: ConsumerAnswer) => waiting.get(answer.id)?.(answer));
  let count = 0;
  const asked = async (question: ConsumerQuestion): Promise<ConsumerAnswer> => {
    const id = ++count;
    const { promise, resolve: answered } = Promise.withResolvers<ConsumerAnswer>();
    waiting.set(id, answered);
    const request: ConsumerRequest = { ...question, id };
    child.send(request);
    const answer = await promise;
    waiting.delete(id);
    return answer;
  };
  return {
    url,
    figures: async () => (await asked({ ask: 'figures' })).consumed!,
    compare: async (database) => {
      return (await asked({ ask: 'compare', url: database })).different!;
    },
  };
}

// Starts the backfill proof's consumer, and asks it.
import type { Workbench } from '../workbench.ts';
import { startAsked } from './asked-process.ts';
import type { Consumed, ConsumerAnswer, ConsumerQuestion } from './consumer-process.ts';

export type Consumer = {
  readonly url: string;
  readonly pid: number;
  figures(): Promise<Consumed>;
  /** How many rows it has otherwise than the table. */
  compare(url: string): Promise<number>;
};

/** Of the messages of one queue, so far away; `maxRows`: no row has a larger id. It ends with the bench. */
export async function startConsumer(
  bench: Workbench,
  queue: string,
  { maxRows, rttMs }: { readonly maxRows: number; readonly rttMs: number },
): Promise<Consumer> {
  const asked = await startAsked<ConsumerQuestion, ConsumerAnswer>(bench, 'consumer-process.ts', [
    String(maxRows),
    queue,
    String(rttMs),
  ]);
  return {
    url: asked.url,
    pid: asked.pid,
    figures: async () => (await asked.ask({ ask: 'figures' })).consumed!,
    compare: async (database) => (await asked.ask({ ask: 'compare', url: database })).different!,
  };
}

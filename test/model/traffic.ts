// What goes on between two actions of a sequence: commits, and everything that the service does by itself, a bit at a time.
import type { ModelProcess } from './process.ts';
import type { Chances } from './server-actions.ts';
import { NOISE, TABLES } from './server-state.ts';
import type { PretendedServer } from './server.ts';

/** The tables and keys of some rows that are written in one transaction. */
export const someRows = ({ random, below }: Chances): { readonly table: string; readonly key: number }[] =>
  Array.from({ length: 1 + below(4) }, () => ({
    table: random() < 0.15 ? NOISE : TABLES[below(TABLES.length)]!,
    key: below(4),
  }));

export type Traffic = {
  readonly server: PretendedServer;
  /** Undefined: it is down. */
  readonly process: ModelProcess | undefined;
  readonly commit: () => void;
  readonly chances: Chances;
};

/** One thing of all that may happen next. */
export async function takeTurn({ server, process, commit, chances }: Traffic): Promise<void> {
  const { random, below } = chances;
  const chance = random();
  if (chance < 0.3) return commit();
  if (chance < 0.34) return server.idle(below(300));
  if (process === undefined) return;
  if (chance < 0.55) return process.read(1 + below(12));
  if (chance < 0.62) return process.sync();
  if (chance < 0.67) return process.flush();
  if (chance < 0.7) return process.look();
  if (chance < 0.72) return process.budget();
  if (process.sinks.running.length === 0) return;
  return process.sinks.one(below(process.sinks.running.length), (sink) => {
    if (chance < 0.78) return sink.read(1 + below(4));
    if (chance < 0.88) return sink.deliver(1 + below(5), () => below(2));
    if (chance < 0.95) return sink.settle();
    return sink.sync();
  });
}

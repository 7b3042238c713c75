// What an operator of the model does: what status and hints say, until everything flows.
import type { ModelProcess } from './process.ts';
import type { PretendedServer } from './server.ts';

const MAX_ROUNDS = 12;
/** Of deliveries to one sink, in one round. */
const MAX_TURNS = 200;

export type Operated = {
  readonly server: PretendedServer;
  readonly publication: string;
  /** Starts the service unless it runs, and connects it. */
  start(): Promise<ModelProcess>;
  stop(): Promise<void>;
  moveLogAway(): void;
  /** Takes down which gaps are on record. */
  readonly note: () => void;
  tell(what: string): void;
};

/** What an operator would see. */
export function describe({ state }: PretendedServer, process: ModelProcess | undefined): string {
  const { slot, timeline, walEnd, history } = state;
  const { fatal, waits, isStreaming } = process ?? {};
  const service = process === undefined ? 'down' : isStreaming ? 'streams' : (fatal ?? waits)?.message;
  return `history ${history}, timeline ${timeline}, WAL end ${walEnd}, slot ${slot?.confirmed}; ${service}`;
}

/** Rejects where that does not help. */
export async function bringToRest(operated: Operated): Promise<void> {
  const { server, publication: name, note } = operated;
  let why: string | undefined;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const process = await operated.start();
    operated.tell(`   round ${round}`);
    const { fatal, waits } = process;
    why = (fatal ?? waits)?.message;
    if (fatal !== undefined) throw new Error(`it ended with ${fatal.code}: ${why}`);
    // The first time somebody may put the right server back; then, as the hint says, this one takes its place.
    if (round > 0 && process.isRefused) {
      await operated.stop();
      operated.moveLogAway();
      continue;
    }
    const publication = server.state.publications.get(name);
    if (publication?.publishes.includes('insert') === false) server.publish(name);
    // After a full disk it goes on by itself.
    await process.budget();
    await process.look();
    note();
    process.acceptGaps();
    if (process.isStreaming && (await drain(process, note))) return;
  }
  throw new Error(`it does not come to rest: ${why}`);
}

/** Everything is read, delivered, settled and told. Answers whether that was all. */
async function drain(process: ModelProcess, note: () => void): Promise<boolean> {
  await process.read(10_000);
  await process.sync();
  for (const sink of process.sinks.running) {
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      await sink.read(1000);
      if (sink.waiting === 0) break;
      sink.deliver(1000, () => 0);
      sink.settle();
    }
    await sink.sync();
  }
  await process.flush();
  note();
  return process.isStreaming && !process.isHalted;
}

// The queues of the rules' proof, in a process of their own: what each is handed over goes into one accounting.
import { Client } from 'pg';
import { unescaped } from '../endpoint/send-request.ts';
import { startEndpointServer, type ServedQueue } from '../endpoint/server.ts';
import { RuledAccounting, type RuledFigures } from './ruled-accounting.ts';

/** `life`: the service was killed, and is started again. `compare`: how many rows are otherwise than the table has them? */
export type RuledQuestion =
  { readonly ask: 'figures' } | { readonly ask: 'life' } | { readonly ask: 'compare'; readonly url: string };
export type RuledRequest = RuledQuestion & { readonly id: number };
export type RuledAnswer = {
  readonly id: number;
  readonly figures?: RuledFigures;
  readonly different?: number;
};

/** Turns of the event loop in which what the kernel still had of a killed sender is read. */
const TURNS = 10;

const accounting = new RuledAccounting();

async function compare(url: string): Promise<number> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ id: number; version: string; region: number }>(
    'select id, version, region from t',
  );
  await client.end();
  return accounting.differences(
    new Map(rows.map(({ id, version, region }) => [id, { version: Number(version), region }])),
  );
}

async function answer(request: RuledRequest): Promise<RuledAnswer> {
  const { id } = request;
  if (request.ask === 'compare') return { id, different: await compare(request.url) };
  if (request.ask === 'life') {
    for (let turn = 0; turn < TURNS; turn++) await new Promise((done) => setImmediate(done));
    accounting.life++;
  }
  return { id, figures: accounting.figures() };
}

function queueOf(name: string): ServedQueue {
  const queue: ServedQueue = {
    mode: 'serving',
    requests: 0,
    throttled: 0,
    cut: 0,
    accept: (group, dedup, escaped) =>
      accounting.accept({ queue: name, group, dedup, body: unescaped(escaped) }, `${name} ${queue.requests}`),
  };
  return queue;
}

const queues = new Map<string, ServedQueue>();
const endpoint = await startEndpointServer((name) => {
  const queue = queues.get(name) ?? queueOf(name);
  queues.set(name, queue);
  return queue;
});
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(0));
process.on('message', (request: RuledRequest) => {
  void answer(request).then((said) => process.send!(said));
});
process.send!({ url: endpoint.url });

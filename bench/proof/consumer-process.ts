// The proof's consumer, in a process of its own: a FIFO queue, and of each row what its last message says. It knows a row's version, which
// only grows, so it sees what came too late.
import { Client } from 'pg';
import { calibrateClock, wallClockMs } from '../clock.ts';
import { LatencyRecord, type LatencyFigures } from '../endpoint/latency-record.ts';
import { commitTimeOf } from '../endpoint/message.ts';
import { unescaped } from '../endpoint/send-request.ts';
import { startEndpointServer, type ServedQueue } from '../endpoint/server.ts';

/** What it was told so far. */
export type Consumed = {
  readonly messages: number;
  /** Rows of which a `read` came. */
  readonly reads: number;
  /** Messages that had come before: the queue drops them. */
  readonly repeats: number;
  readonly readRepeats: number;
  /** A `read` after a newer change of its row: the first few of them. */
  readonly stale: readonly string[];
  /** Of changes, since the last question, in milliseconds from their commit on. */
  readonly latency: LatencyFigures | undefined;
};
/** `compare`: how many rows does the consumer have otherwise than the table? */
export type ConsumerQuestion =
  { readonly ask: 'figures' } | { readonly ask: 'compare'; readonly url: string };
export type ConsumerRequest = ConsumerQuestion & { readonly id: number };
export type ConsumerAnswer = {
  readonly id: number;
  readonly consumed?: Consumed;
  readonly different?: number;
};

type Message = { readonly record: { readonly id: number; readonly v: number }; readonly action: string };

const MAX_TOLD = 10;
const COMPARED_AT_ONCE = 100_000;
/** Of a version: nothing is known of the row · it was deleted. */
const UNKNOWN = -1;
const GONE = -2;

const maxRows = Number(process.argv[2]);
/** The queue whose messages are looked at. */
const watched = process.argv[3];
/** Milliseconds between a request and its answer. */
const rttMs = Number(process.argv[4]);
const versions = new Float64Array(maxRows + 1).fill(UNKNOWN);
/** The newest version that any message had, deleted or not. */
const newest = new Float64Array(maxRows + 1).fill(UNKNOWN);
const wasRead = new Uint8Array(maxRows + 1);
const seen = { messages: 0, reads: 0, repeats: 0, readRepeats: 0 };
const stale: string[] = [];
let latency = new LatencyRecord();

/** Of the changes that came: what comes again the queue would drop. Of a row's `read` it is told by the row. */
const changes = new Set<string>();

function accept(dedup: string, body: string, afterMs: number): void {
  seen.messages++;
  const { record, action } = JSON.parse(body) as Message;
  const { id, v } = record;
  if (action === 'read') return acceptRead(id, v);
  if (changes.has(dedup)) return void seen.repeats++;
  changes.add(dedup);
  latency.add(wallClockMs() + afterMs - commitTimeOf(body));
  if (action === 'delete') versions[id] = GONE;
  else versions[id] = newest[id] = v;
}

function acceptRead(id: number, v: number): void {
  if (wasRead[id] === 1) return void seen.readRepeats++;
  wasRead[id] = 1;
  seen.reads++;
  if (versions[id] !== GONE && newest[id]! <= v) versions[id] = newest[id] = v;
  else if (stale.length < MAX_TOLD) stale.push(`${id}: ${v} after ${newest[id]}`);
}

async function compare(url: string): Promise<number> {
  const client = new Client({ connectionString: url });
  await client.connect();
  let different = 0;
  let next = 0;
  for (; next <= maxRows; next += COMPARED_AT_ONCE) {
    const end = Math.min(maxRows + 1, next + COMPARED_AT_ONCE);
    const { rows } = await client.query<{ id: number; v: string }>(
      'select id, v from t where id >= $1 and id < $2 order by id',
      [next, end],
    );
    const present = new Map(rows.map(({ id, v }) => [id, Number(v)]));
    for (let id = next; id < end; id++) {
      const known = versions[id]! < 0 ? undefined : versions[id];
      if (known !== present.get(id)) different++;
    }
  }
  await client.end();
  return different;
}

async function answer(request: ConsumerRequest): Promise<ConsumerAnswer> {
  const { id } = request;
  if (request.ask === 'compare') return { id, different: await compare(request.url) };
  const consumed = { ...seen, stale, latency: latency.figures() };
  latency = new LatencyRecord();
  return { id, consumed };
}

const queueOf = (name: string): ServedQueue => ({
  mode: 'serving',
  requests: 0,
  throttled: 0,
  cut: 0,
  accept:
    name === watched
      ? (_group, dedup, escaped, afterMs) => accept(dedup, unescaped(escaped), afterMs)
      : () => undefined,
});
const queues = new Map<string, ServedQueue>();
const endpoint = await startEndpointServer((name) => {
  const queue = queues.get(name) ?? queueOf(name);
  queues.set(name, queue);
  return queue;
});
endpoint.network = { rttMs };
calibrateClock();
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(0));
process.on('message', (request: ConsumerRequest) => {
  void answer(request).then((said) => process.send!(said));
});
process.send!({ url: endpoint.url });

// kill -9 at random moments under load, through column rules and routes: a key that is hashed, flattened jsonb, a template, a queue that the
// row decides, and rows that move from one to another. No change is lost, its order neither, and only what was in flight comes again.
import { createHmac } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { expect, test, vi } from 'vitest';
import { Deliveries } from '../support/deliveries.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { startLoad } from '../support/load.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES, type ChangeMessage } from '../support/workload.ts';

const world = endToEnd({ createMissing: true });

/** A longer proof has more, and prints its figures. */
const PROOF_KILLS = process.env['TAILRACE_TEST_KILLS'];
const KILLS = Number(PROOF_KILLS ?? 4);
const SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 20);
vi.setConfig({ testTimeout: 180_000 + KILLS * 45_000 });

const QUEUES = 8;
const LANES = 1;
const MAX_AHEAD = 3000;
/** Messages between a start and a kill. */
const MAX_MORE = 3000;
const IDS = { from: 0, to: 2000 };
const KEY = 'a key of sixteen characters';

const RULES = `{ mask: { id: hash }, flatten: { doc: true }, add: { label: "\${meta.table}/\${row.id}/\${row.version}" } }`;

const hashOf = (id: number): string => createHmac('sha256', KEY).update(String(id)).digest('hex');
const ID_OF = new Map(
  Array.from({ length: IDS.to - IDS.from }, (_, i) => [hashOf(IDS.from + i), IDS.from + i]),
);

type Message = ChangeMessage & { metadata: { moved?: 'in' | 'out'; record_pks: readonly string[] } };
type Arrived = { readonly queue: string; readonly group: string | undefined; readonly body: string };

const idOf = (hash: unknown): number => {
  const id = ID_OF.get(String(hash));
  if (id === undefined) throw new Error('what stands for a key is no hash of one');
  return id;
};

/** What a consumer sees, as it would be without rules; throws where it is not what the rules make of the row. */
function withoutRules({ queue, group, body }: Arrived): Message {
  const message = JSON.parse(body) as Message;
  const { record, metadata } = message;
  const { id, version, note, amount, region } = record;
  const expected = {
    record: {
      id,
      version,
      note,
      amount,
      region,
      doc_version: version,
      doc_deep_note: note,
      doc_deep_list: [version],
      label: `${metadata.table_name}/${String(id)}/${String(version)}`,
    },
    queue: `q-${String(region)}.fifo`,
    group: `public.${metadata.table_name}:${String(id)}`,
    pks: [id],
  };
  if (!isDeepStrictEqual({ record, queue, group, pks: metadata.record_pks }, expected))
    throw new Error(`${queue} ${group} got ${body}`);
  const before = message.changes?.['id'];
  return {
    ...message,
    record: { id: idOf(id), version, note, amount },
    changes: before === undefined ? null : { id: idOf(before) },
  };
}

/** Every change makes other members, and every few of them take the row to another queue. */
async function prepareTables(): Promise<void> {
  const { client } = world.database;
  await createTables(client);
  await client.query(`create function shape() returns trigger language plpgsql as $$ begin
    new.region = 'r' || new.version / 4 % ${QUEUES};
    new.doc = jsonb_build_object('version', new.version, 'deep', jsonb_build_object('note', new.note, 'list', array[new.version]));
    return new; end $$`);
  for (const table of TABLES) {
    await client.query(
      `alter table ${table} add region text, add doc jsonb, alter id type int, replica identity full`,
    );
    await client.query(
      `create trigger shape before insert or update on ${table} for each row execute function shape()`,
    );
  }
}

test(`kill -9 under load, through rules and routes: each change once, in the order of its row, and few repeats (seed ${SEED})`, async () => {
  await prepareTables();
  const { client } = world.database;
  const config = world.config({
    faulty: true,
    sinks: [
      {
        queue: '"q-${row.region}.fifo"',
        tables: TABLES,
        destination: `lanes: ${LANES}`,
        extra: `mask_key: "${KEY}"\nroute_moves: convert\ntables: [${TABLES.map((name) => RULES.replace('{', `{ name: public.${name},`)).join(', ')}]`,
      },
    ],
  });
  await world.start({ config });
  expect(await world.service.stop()).toBe(0);

  const deliveries = new Deliveries({ rowMessagesPerRequest: 1 });
  const places = new Set<string>();
  let life = 0;
  let left = Infinity;
  world.proxy.decide = ({ entries, queue }) => {
    if (entries.length === 0) return undefined;
    const messages = entries.map(({ MessageBody: body, MessageGroupId: group }) =>
      withoutRules({ queue, group, body }),
    );
    deliveries.take(messages, life);
    for (const { metadata } of messages) places.add(`${metadata.commit_lsn}/${metadata.commit_idx}`);
    left -= messages.length;
    if (left > 0) return undefined;
    left = Infinity;
    world.service.child.kill('SIGKILL');
    return undefined;
  };

  const random = seededRandom(SEED);
  const load = startLoad({
    client,
    random,
    maxCount: 200,
    ids: IDS,
    delivered: () => places.size,
    maxAhead: MAX_AHEAD,
  });
  for (; life < KILLS; life++) {
    world.launch({ config });
    left = 1 + Math.floor(random() * MAX_MORE);
    await world.service.ended;
    expect(world.service.child.signalCode).toBe('SIGKILL');
    // What the kernel still had of it is read now.
    for (let turn = 0; turn < 3; turn++) await new Promise((done) => setImmediate(done));
  }
  world.launch({ config });
  const changes = await load.stop();
  await waitFor(() => places.size >= changes, `${changes} changes`, 100_000);
  const sink = await waitFor(async () => {
    const [found] = (await world.service.health()).sinks;
    return found?.lagBytes === 0 && found;
  }, 'everything to be settled');
  expect([sink.deadLetters, sink.inversions]).toEqual([0, 0]);
  expect(await world.service.stop()).toBe(0);

  expect([deliveries.faults, places.size]).toEqual([[], changes]);
  await deliveries.replica.compareWith(client);
  for (let kill = 0; kill < KILLS; kill++) {
    expect(deliveries.repeatsOf(kill).requests.size).toBeLessThanOrEqual(QUEUES * LANES);
  }
  // What consumers of the queues see: a change is one message, or the two of a row that moved.
  const arrived = world.recorder.messages.map(withoutRules);
  const inQueues = new Replica();
  const moves = new Map<string, string[]>();
  for (const message of arrived) {
    inQueues.apply(message);
    const { commit_lsn: lsn, commit_idx: index, moved } = message.metadata;
    moves.set(`${lsn}/${index}`, [...(moves.get(`${lsn}/${index}`) ?? []), moved ?? 'stays']);
  }
  expect([inQueues.repeats, moves.size]).toEqual([0, changes]);
  await inQueues.compareWith(client);
  expect(new Set([...moves.values()].map(String))).toEqual(new Set(['stays', 'out,in']));
  if (PROOF_KILLS !== undefined) console.log(`seed ${SEED}: ${changes} changes, ${deliveries.describe()}`);
});

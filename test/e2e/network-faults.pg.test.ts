// The network to Postgres fails under load, in every way that networks do, one after the other: every change comes once, in order, and
// the service heals by itself.
import { afterEach, expect, test } from 'vitest';
import { configText } from '../support/config.ts';
import { endToEnd } from '../support/end-to-end.ts';
import {
  NETWORK_FAULTS,
  startFaultyNetwork,
  type FaultyNetwork,
  type Which,
} from '../support/faulty-network.ts';
import { startLoad } from '../support/load.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES } from '../support/workload.ts';

const FAULTS = Number(process.env['TAILRACE_TEST_NETWORK_FAULTS'] ?? 5);
const SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 17);
const WHICH: readonly Which[] = ['replication', 'replication', 'side', 'all'];
/** How long what does not last for ever does. */
const FAULT_MS = 2_000;
const PATIENCE_MS = 120_000;

const world = endToEnd();
let network: FaultyNetwork | undefined;
afterEach(async () => {
  await network?.close();
});

test(
  `after ${FAULTS} random faults of the network every change has come once, in order (seed ${SEED})`,
  async () => {
    const { client, name } = world.database;
    await createTables(client);
    // The server finds out as late as we do.
    await client.query(`alter database ${name} set wal_sender_timeout = '10s'`);
    network = await startFaultyNetwork(world.database);
    const config = configText({
      database: { ...world.database, port: network.port },
      endpoint: world.recorder.url,
      sinks: [{ tables: TABLES, destination: 'lanes: 8' }],
      databaseExtra: 'connection: { receive_timeout: 8s }',
    });
    await world.start({ config });
    const random = seededRandom(SEED);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
    const load = startLoad({
      client,
      random: seededRandom(SEED + 1),
      maxCount: 300,
      ids: { from: 0, to: 3000 },
      delivered: () => world.recorder.counts.accepted,
      maxAhead: 10_000,
      patienceMs: PATIENCE_MS,
    });
    const healed: { fault: string; ms: number }[] = [];
    // Each kind once, before any comes again.
    const kinds = Array.from({ length: Math.ceil(FAULTS / NETWORK_FAULTS.length) }, () =>
      [...NETWORK_FAULTS].map((fault) => ({ fault, at: random() })).toSorted((a, b) => a.at - b.at),
    ).flat();
    for (const { fault } of kinds.slice(0, FAULTS)) {
      const started = world.recorder.counts.accepted;
      const before = Math.floor(random() * 2_000);
      await waitFor(() => world.recorder.counts.accepted >= started + before, 'the load', PATIENCE_MS);
      const which = pick(WHICH);
      await waitFor(() => network!.count(which) > 0, `connections (${which})`, PATIENCE_MS);
      const at = performance.now();
      const end = network.fail(fault, which);
      const from = world.recorder.counts.accepted;
      await waitFor(() => performance.now() - at > FAULT_MS, 'the fault to last');
      end();
      // More than can have been on its way already.
      await waitFor(
        async () =>
          world.recorder.counts.accepted >= from + 12_000 &&
          (await world.service.health()).databases[0]!.state === 'streaming',
        `changes after: ${fault} (${which})`,
        PATIENCE_MS,
      );
      healed.push({ fault: `${fault} (${which})`, ms: Math.round(performance.now() - at) });
    }
    const events = await load.stop();
    await waitFor(() => world.recorder.counts.accepted >= events, `${events} changes`, PATIENCE_MS);
    const replica = Replica.of(world.recorder.messages);
    expect(replica.changes).toBe(events);
    expect(replica.repeats).toBe(0);
    expect(world.recorder.counts.duplicates).toBe(0);
    await replica.compareWith(client);
    // What fell silent beside the stream is found out later than what was delivered.
    const database = await waitFor(
      async () => {
        const [found] = (await world.service.health()).databases;
        return found!.status === 'healthy' && found;
      },
      'all to be well',
      PATIENCE_MS,
    );
    expect(database.gaps).toEqual([]);
    if (process.env['TAILRACE_TEST_NETWORK_FAULTS'] !== undefined) {
      const { reconnects, stallsHealed } = database;
      console.log({ events, reconnects, stallsHealed, duplicates: world.recorder.counts.duplicates });
      for (const { fault, ms } of healed) console.log(`${String(ms).padStart(7)} ms  ${fault}`);
    }
    expect(await world.service.stop()).toBe(0);
  },
  PATIENCE_MS * (FAULTS + 2),
);

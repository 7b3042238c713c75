// Random sequences of restarts, moves, crashes and restores against real servers: a change is delivered, or lies in a declared
// gap, or the service says why it stands. Never silence.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { AUDITED, AUDITED_SINK_NAMES, AUDITED_SINKS, createAuditedTable } from '../support/restart-audit.ts';
import { RealRestartWorld } from '../support/restart-world.ts';
import { waitFor } from '../support/wait.ts';
import { seededRandom } from '../support/workload.ts';

/** What runs every time is few; the proof has many, and goes on from seed to seed. */
const SEQUENCES = Number(process.env['TAILRACE_TEST_SEQUENCES'] ?? 2);
const FIRST_SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 1);
const MAX_TRAFFIC_MS = 900;
vi.setConfig({ testTimeout: 240_000 });

type Act = (world: RealRestartWorld, random: () => number) => Promise<void>;

const pick = <T>(values: readonly T[], random: () => number): T =>
  values[Math.floor(random() * values.length)]!;
const SLOT = 'tailrace';

/** With the slot free. */
const slotDown =
  (sql: string): Act =>
  async (world) => {
    await world.down();
    await waitFor(
      async () =>
        (await world.client()).query(sql).then(
          () => true,
          // The server may take a moment to notice that the walsender is gone.
          (error: { code?: string }) => (error.code === '55006' ? false : Promise.reject(error)),
        ),
      'the slot to be free',
    );
  };

const ALL = `'insert, update, delete, truncate'`;

const ACTS: Readonly<Record<string, Act>> = {
  kill: (world) => world.kill(),
  stop: (world) => world.stop(),
  'power cut': (world) => world.cutPower(),
  'log moved away': async (world) => {
    await world.down();
    world.moveLogAway();
  },
  'ledger deleted': async (world, random) => {
    await world.down();
    const sink = pick(AUDITED_SINK_NAMES, random);
    world.touch((data) => rmSync(join(data, `ledger/shop/${sink}.ledger`), { force: true }));
  },
  'directory copied': async (world) => {
    await world.down();
    world.copyData();
  },
  'directory put back': async (world) => {
    await world.down();
    world.putDataBack();
  },
  'slot dropped': slotDown(`select pg_drop_replication_slot('${SLOT}')`),
  'slot remade': async (world, random) => {
    await slotDown(`select pg_drop_replication_slot('${SLOT}')`)(world, random);
    await world.query(`select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`);
  },
  'slot advanced': slotDown(`select pg_replication_slot_advance('${SLOT}', pg_current_wal_lsn())`),
  'publication dropped': (world) => world.query(`drop publication if exists ${world.publication}`),
  'publication remade': (world) =>
    world.query(
      `drop publication if exists ${world.publication}; create publication ${world.publication} for table a, b, c`,
    ),
  'publication narrowed': (world) =>
    world.query(`alter publication ${world.publication} set (publish = 'update')`),
  'publication narrowed and restored': async (world) => {
    await world.query(`alter publication ${world.publication} set (publish = 'update')`);
    await sleep(60);
    await world.query(`alter publication ${world.publication} set (publish = ${ALL})`);
  },
  'table taken out and put in': async (world, random) => {
    const table = pick(AUDITED, random);
    await world.query(`alter publication ${world.publication} drop table ${table}`);
    await sleep(60);
    await world.query(`alter publication ${world.publication} add table ${table}`);
  },
  'table remade': async (world, random) => {
    const table = pick(AUDITED, random);
    await world.query(`drop table ${table}`);
    await createAuditedTable(await world.client(), table);
  },
  'options changed': async (world) => {
    await world.down();
    world.publication = world.publication === 'pub_first' ? 'pub_second' : 'pub_first';
  },
  'server crashed': async (world) => {
    await world.stopServer('immediate');
    await world.startServer();
  },
  'server restarted': async (world) => {
    await world.stopServer('fast');
    await world.startServer();
  },
  'server copied': (world) => world.copyServer(),
  'server restored': (world) => world.restoreServer({ promoted: false }),
  'server recovered to a point': (world) => world.restoreServer({ promoted: true }),
};
const NAMES = Object.keys(ACTS);
/** Deleting the store forgets what the catalog was like: it comes with nothing that changes the publication unseen. */
const LATE: Readonly<Record<string, Act>> = {
  'store deleted': async (world) => {
    await world.down();
    world.touch((data) => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(join(data, `tailrace.db${suffix}`), { force: true });
    });
  },
};

/** Whether it says that it has published everything since the service could look. */
const UNSEEN = /publication|table|server re|slot/;

function sequenceOf(random: () => number): string[] {
  const names = Array.from({ length: 3 + Math.floor(random() * 4) }, () => pick(NAMES, random));
  // A copy is of use where something follows.
  if (names.some((name) => /server re(stored|covered)/.test(name))) names.unshift('server copied');
  if (names.includes('directory put back')) names.unshift('directory copied');
  if (random() < 0.3 && !names.some((name) => UNSEEN.test(name))) names.push('store deleted');
  return names;
}

/** The service runs, and nothing stands in the way of anybody: what status and hints say is done. */
async function heal(world: RealRestartWorld): Promise<void> {
  let restarts = 0;
  await world.query(
    `do $$ begin if exists (select from pg_publication where pubname = '${world.publication}' and not pubinsert) then
       alter publication ${world.publication} set (publish = ${ALL}); end if; end $$`,
  );
  world.start();
  await waitFor(
    async () => {
      const ended = world.endedWith();
      if (ended !== undefined) {
        world.tell(`   ended: ${ended}`);
        if (++restarts > 6) throw new Error(`it does not stay: ${ended}`);
        if (/history is not the one|HISTORY_PARTED/.test(ended) && restarts > 1) world.moveLogAway();
        await world.kill();
        world.start();
        return false;
      }
      await world.acceptGaps().catch(() => undefined);
      const health = await world.service!.health().catch(() => undefined);
      if (health === undefined) return false;
      return (
        health.databases.every(({ state }) => state === 'streaming') &&
        health.sinks.every(({ state }) => state === 'running')
      );
    },
    'the service to stream and every sink to run',
    60_000,
  );
}

async function settle(world: RealRestartWorld): Promise<string[]> {
  await world.stopWriting();
  await heal(world);
  // The tables that were made anew have to be taken in first.
  await waitFor(async () => {
    const { rows } = await (
      await world.client()
    ).query(`select 1 from pg_publication_tables where pubname = '${world.publication}'`);
    return rows.length >= AUDITED.length;
  }, 'every table to be published');
  await heal(world);
  const probes = await world.probe();
  const missing = (): string[] =>
    AUDITED_SINK_NAMES.flatMap((sink) =>
      AUDITED_SINKS[sink]
        .filter((table) => !world.audit.has(sink, probes.get(table)!))
        .map((table) => `${sink}: probe of ${table}`),
    );
  await waitFor(
    async () => {
      await heal(world);
      return missing().length === 0;
    },
    'every probe',
    40_000,
  ).catch(() => undefined);
  // What is behind a message that failed may take a moment longer.
  let faults: string[] = [];
  await waitFor(
    async () => {
      faults = [...missing(), ...(await world.audit.faults(await world.client()))];
      return faults.length === 0;
    },
    'everything due',
    15_000,
  ).catch(() => undefined);
  await world.kill();
  return [...missing(), ...(await world.audit.faults(await world.client()))];
}

test.each(Array.from({ length: SEQUENCES }, (_, i) => FIRST_SEED + i))(
  'sequence of seed %i: nothing is missing in silence',
  async (seed) => {
    const random = seededRandom(seed * 7919);
    const names = sequenceOf(random);
    const ack = pick(['auto', 'delivered', 'durable'], random);
    const world = new RealRestartWorld({ random, ack, forgetfulDisk: names.includes('power cut') });
    try {
      await world.open();
      for (const name of names) {
        if (random() < 0.85) world.start();
        // Long enough for some, too short for others: a random moment.
        await sleep(random() * MAX_TRAFFIC_MS);
        world.tell(`-- ${name} (row ${world.lastId}; ${world.endedWith() ?? 'runs'})`);
        await (ACTS[name] ?? LATE[name]!)(world, random);
      }
      const faults = await settle(world);
      const story = [
        `seed ${seed}, ack ${ack}: ${names.join(', ')}`,
        ...world.story,
        world.audit.describe(),
      ].join('\n');
      if (process.env['TAILRACE_TEST_SEQUENCES'] !== undefined) {
        console.log(
          `${faults.length === 0 ? 'well' : 'FAULT'} ${story}\n${world.lastId} rows, ${world.audit.repeats} repeats`,
        );
      }
      expect(faults.slice(0, 10)).toEqual([]);
    } catch (error) {
      throw new Error(
        `seed ${seed}, ack ${ack}: ${names.join(', ')}\n${world.story.join('\n')}\n${world.audit.describe()}`,
        { cause: error },
      );
    } finally {
      await world.close();
    }
  },
);

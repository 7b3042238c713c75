// What an operator, a crash or a power cut does, each by name: the words of a sequence of restarts.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AUDITED, AUDITED_SINK_NAMES, createAuditedTable } from './restart-audit.ts';
import { SLOT, type RealRestartWorld } from './restart-world.ts';
import { waitFor } from './wait.ts';

type Act = (world: RealRestartWorld, random: () => number) => Promise<void>;

export const pick = <T>(values: readonly T[], random: () => number): T =>
  values[Math.floor(random() * values.length)]!;

/** What the act is about is not there (undefined_object, undefined_table), or there already (duplicate_object). */
const NOTHING_TO_DO = ['42704', '42P01', '42710'];
/** Somebody does the same at the same time (object_in_use, deadlock_detected, serialization_failure, a catalog row that has just changed). */
const AGAIN = ['55006', '40P01', '40001', 'XX000'];

/** As somebody at a prompt: where another was quicker, there is nothing to do. */
export async function attempt(world: RealRestartWorld, sql: string): Promise<void> {
  await waitFor(async () => {
    const client = await world.server.client();
    try {
      await client.query(sql);
      return true;
    } catch (error) {
      const { code = '' } = error as { code?: string };
      if (AGAIN.includes(code)) return false;
      if (!NOTHING_TO_DO.includes(code)) throw error;
      world.tell(`   nothing to do: ${String(error)}`);
      return true;
    }
  }, sql);
}

/** With the slot free: the server takes a moment to notice that the walsender is gone. */
const slotDown =
  (sql: string): Act =>
  async (world) => {
    await world.down();
    await attempt(world, sql);
  };

export const ALL_ACTIONS = `'insert, update, delete, truncate'`;
const ALTERED_MS = 60;
const FULL_MS = 300;

export const ACTS = {
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
  'store deleted': async (world) => {
    await world.down();
    world.touch((data) => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(join(data, `tailrace.db${suffix}`), { force: true });
    });
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
    await attempt(world, `select pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`);
  },
  'slot advanced': slotDown(`select pg_replication_slot_advance('${SLOT}', pg_current_wal_lsn())`),
  'publication dropped': (world) => attempt(world, `drop publication ${world.publication}`),
  'publication remade': (world) =>
    attempt(
      world,
      `drop publication if exists ${world.publication}; create publication ${world.publication} for table a, b, c`,
    ),
  'publication narrowed': (world) =>
    attempt(world, `alter publication ${world.publication} set (publish = 'update')`),
  'publication narrowed and restored': async (world) => {
    await attempt(world, `alter publication ${world.publication} set (publish = 'update')`);
    await sleep(ALTERED_MS);
    await attempt(world, `alter publication ${world.publication} set (publish = ${ALL_ACTIONS})`);
  },
  'table taken out and put in': async (world, random) => {
    const table = pick(AUDITED, random);
    await attempt(world, `alter publication ${world.publication} drop table ${table}`);
    await sleep(ALTERED_MS);
    await attempt(world, `alter publication ${world.publication} add table ${table}`);
  },
  'table remade': async (world, random) => {
    const table = pick(AUDITED, random);
    await world.server.query(`drop table ${table}`);
    await createAuditedTable(await world.server.client(), table);
  },
  'options changed': async (world) => {
    await world.down();
    world.publication = world.publication === 'pub_first' ? 'pub_second' : 'pub_first';
  },
  'disk full for a while': async (world) => {
    world.fillDisk(true);
    await sleep(FULL_MS);
    world.fillDisk(false);
  },
  'clock gone wild': async (world) => {
    await world.down();
    world.isClockWild = true;
  },
  'server crashed': async ({ server }) => {
    await server.stop('immediate');
    await server.start();
  },
  'server restarted': async ({ server }) => {
    await server.stop('fast');
    await server.start();
  },
  'server copied': ({ server }) => server.copy(),
  'server restored': ({ server }) => server.restore({ promoted: false }),
  'server recovered to a point': ({ server }) => server.restore({ promoted: true }),
} as const satisfies Readonly<Record<string, Act>>;

export type ActName = keyof typeof ACTS;
const NAMES = Object.keys(ACTS) as ActName[];

/** Deleting the store forgets what the catalog was like: it comes last, and with nothing that changes the publication unseen. */
const LAST = 'store deleted';
/** What the machine does meanwhile, now and then. */
const OF_THE_MACHINE: readonly ActName[] = ['disk full for a while', 'clock gone wild'];
const ANYWHERE: readonly ActName[] = NAMES.filter((name) => name !== LAST && !OF_THE_MACHINE.includes(name));
const UNSEEN = /publication|table|server re|slot/;

/** Three to six acts, and what they need to be of use. */
export function randomActs(random: () => number): ActName[] {
  const names: ActName[] = Array.from({ length: 3 + Math.floor(random() * 4) }, () => pick(ANYWHERE, random));
  // A copy is of use where something follows.
  if (names.some((name) => /server re(stored|covered)/.test(name))) names.unshift('server copied');
  if (names.includes('directory put back')) names.unshift('directory copied');
  if (random() < 0.3 && !names.some((name) => UNSEEN.test(name))) names.push(LAST);
  for (const name of OF_THE_MACHINE)
    if (random() < 0.2) names.splice(Math.floor(random() * names.length), 0, name);
  return names;
}

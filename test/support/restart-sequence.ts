// One sequence of restarts from its first row to the verdict: what was done, what never came, and what was said about it.
import { setTimeout as sleep } from 'node:timers/promises';
import { ACTS, ALL_ACTIONS, attempt, type ActName } from './restart-acts.ts';
import { AUDITED, AUDITED_SINK_NAMES, AUDITED_SINKS } from './restart-audit.ts';
import { RealRestartWorld } from './restart-world.ts';
import { waitFor } from './wait.ts';
import { seededRandom } from './workload.ts';

const MAX_TRAFFIC_MS = 900;
/** On a machine that has other things to do, after some restarts. */
const STREAMING_WITHIN_MS = 150_000;
/** The service looks every 300 ms. */
const TAKEN_IN_WITHIN_MS = 3000;
const PROBES_WITHIN_MS = 40_000;
const REST_WITHIN_MS = 15_000;
const MAX_RESTARTS = 6;

export type Sequence = {
  readonly acts: readonly ActName[];
  readonly ack: string;
  readonly seed: number;
};

export type Verdict = {
  /** Rows that never came and that no gap names. */
  readonly faults: readonly string[];
  /** What was done and declared, for a reader. */
  readonly story: string;
};

/** Does one act after the other under load, follows what the service then asks for, and looks for what is missing. */
export async function runSequence({ acts, ack, seed }: Sequence): Promise<Verdict> {
  const random = seededRandom(seed);
  const world = new RealRestartWorld({
    random,
    loadRandom: seededRandom(seed + 1),
    ack,
    forgetfulDisk: acts.includes('power cut'),
  });
  const tell = (): string => [...world.story, world.audit.describe()].join('\n');
  let faults: string[] | undefined;
  try {
    await world.open();
    for (const name of acts) {
      if (random() < 0.85) world.start();
      if (random() < 0.6) await world.streaming();
      // Long enough for some, too short for others: a random moment.
      await sleep(random() * MAX_TRAFFIC_MS);
      world.tell(`-- ${name} (row ${world.lastId}; ${world.endedWith() ?? 'runs'})`);
      await ACTS[name](world, random);
    }
    faults = await settle(world);
    world.tell(`settled: ${world.lastId} rows, ${world.audit.repeats} repeats`);
    return { faults, story: tell() };
  } catch (error) {
    throw new Error(tell(), { cause: error });
  } finally {
    const keptIn = process.env['TAILRACE_TEST_KEEP'];
    if (faults?.length !== 0 && keptIn !== undefined) await world.keep(`${keptIn}/${seed}`);
    await world.close();
  }
}

/** The service runs, and nothing stands in the way of anybody: what status and hints say is done. */
async function heal(world: RealRestartWorld): Promise<void> {
  let restarts = 0;
  await world.server.query(
    `do $$ begin if exists (select from pg_publication where pubname = '${world.publication}' and not pubinsert) then
       alter publication ${world.publication} set (publish = ${ALL_ACTIONS}); end if; end $$`,
  );
  world.start();
  await waitFor(
    async () => {
      const ended = world.endedWith();
      if (ended !== undefined) {
        world.tell(`   ended: ${ended}`);
        if (++restarts > MAX_RESTARTS) throw new Error(`it does not stay: ${ended}`);
        await world.kill();
        world.start();
        return false;
      }
      await world.acceptGaps().catch(() => undefined);
      const health = await world.service!.health().catch(() => undefined);
      if (health === undefined) return false;
      if (health.databases.some(({ status, cure }) => status === 'halted' && cure?.includes('adopt'))) {
        world.tell('   another history: this one takes its place');
        await world.kill();
        world.moveLogAway();
        world.start();
        return false;
      }
      return (
        health.databases.every(({ state }) => state === 'streaming') &&
        health.sinks.every(({ state }) => state === 'running')
      );
    },
    'the service to stream and every sink to run',
    STREAMING_WITHIN_MS,
  );
}

/**
 * Tables that were made anew are taken in first: by the service where the publication is its own, else by whoever made that, as the
 * status asks for.
 */
async function publishAll(world: RealRestartWorld): Promise<void> {
  const missing = async (): Promise<string[]> => {
    const { rows } = await (
      await world.server.client()
    ).query<{ name: string }>(
      `select tablename as name from pg_publication_tables where pubname = '${world.publication}'`,
    );
    return AUDITED.filter((table) => !rows.some(({ name }) => name === table));
  };
  const isComplete = async (): Promise<boolean> => (await missing()).length === 0;
  await waitFor(isComplete, 'the service to publish every table', TAKEN_IN_WITHIN_MS).catch(async () => {
    for (const table of await missing())
      await attempt(world, `alter publication ${world.publication} add table ${table}`);
  });
}

/** Everything that is due has come when it resolves, or never will. Answers what is missing and lies in no gap. */
async function settle(world: RealRestartWorld): Promise<string[]> {
  await world.stopWriting();
  world.tell('writing ends');
  await heal(world);
  world.tell('streams');
  await publishAll(world);
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
      if (missing().length === 0) return true;
      await heal(world);
      return false;
    },
    'every probe',
    PROBES_WITHIN_MS,
  ).catch(() => undefined);
  world.tell('probed');
  // What is behind a message that failed may take a moment longer.
  const faults = async (): Promise<string[]> => [
    ...missing(),
    ...(await world.audit.faults(await world.server.client())),
  ];
  await waitFor(async () => (await faults()).length === 0, 'everything due', REST_WITHIN_MS).catch(
    () => undefined,
  );
  await world.kill();
  return faults();
}

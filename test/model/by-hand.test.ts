// What no random sequence is likely to come to, by hand. Another publication numbers the changes of a transaction otherwise: no change
// comes with a key that another one had, for a queue that removes duplicates would swallow it. And a server that went back writes
// other changes where sinks had been further than the log.
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import { makeDirectory } from '../../src/data-directory/directory.ts';
import { Accounting } from './accounting.ts';
import { ModelDirectory, removeEmptyStore } from './directory.ts';
import { ModelProcess } from './process.ts';
import { NOISE, PUBLICATIONS } from './server-state.ts';
import { PretendedServer } from './server.ts';
import { FIRST_SINKS } from './sinks.ts';
import { wire } from './wiring.ts';

const [WITHOUT_NOISE, WITH_NOISE] = PUBLICATIONS;
const ALL = 1000;
afterAll(removeEmptyStore);

/** A service that follows one publication, or another at its next start. */
async function makeWorld() {
  const server = new PretendedServer(18);
  const directory = new ModelDirectory({ isWatched: false });
  const accounting = new Accounting(server, FIRST_SINKS);
  let running: ModelProcess | undefined;
  const kill = async (): Promise<void> => {
    await running?.end({ killed: true });
    running = undefined;
  };
  onTestFinished(async () => {
    await kill();
    directory.remove();
  });
  return {
    server,
    directory,
    accounting,
    kill,
    start: async (publication: string): Promise<void> => {
      await makeDirectory(directory.log);
      await makeDirectory(directory.ledgers);
      const life = { server, sinks: FIRST_SINKS, publication, ack: 'delivered' } as const;
      running = new ModelProcess(wire({ ...life, directory, accounting, isLogOlder: () => false }));
      await running.connect();
      expect(running).toMatchObject({ fatal: undefined, waits: undefined, isStreaming: true });
      accounting.countedFrom ??= server.world.commits;
    },
    commit: (tables: readonly string[]) => {
      const transaction = server.commit(tables.map((table, key) => ({ table, key })));
      accounting.committed(transaction);
      return transaction;
    },
    read: (messages: number): Promise<void> => running!.read(messages),
    /** As far as the log goes, to the sinks of these numbers. */
    deliver: async (sinks: readonly number[]): Promise<void> => {
      for (const number of sinks) {
        const sink = running!.sinks.running[number]!;
        await sink.read(ALL);
        while (sink.waiting > 0) {
          sink.deliver(ALL, () => 0);
          sink.settle();
        }
        await sink.sync();
      }
    },
  };
}

type World = Awaited<ReturnType<typeof makeWorld>>;

/** What is still to come comes. Answers what is wrong with what has come by then, and with what was declared. */
async function faultsOf({ accounting, read, deliver }: World): Promise<readonly string[]> {
  await read(ALL);
  await deliver([0, 1, 2]);
  accounting.settle([]);
  return accounting.hasGaps ? [...accounting.faults, 'a gap was declared'] : accounting.faults;
}

test('behind a transaction that only the new publication sends, one that was delivered in part has other keys', async () => {
  const world = await makeWorld();
  await world.start(WITHOUT_NOISE);
  world.commit(['a']);
  await world.read(ALL);
  await world.deliver([0, 1, 2]);
  world.commit([NOISE]);
  world.commit([NOISE, 'a', 'b', 'a', 'b', 'c']);
  // Its Begin and three of its rows.
  await world.read(4);
  await world.deliver([0, 1, 2]);
  await world.kill();
  await world.start(WITH_NOISE);
  expect(await faultsOf(world)).toEqual([]);
});

test('a new log that is read with another publication than the one before gives its changes other keys', async () => {
  const world = await makeWorld();
  await world.start(WITHOUT_NOISE);
  for (let i = 0; i < 3; i++) world.commit([NOISE, 'a', 'b', 'c', 'a']);
  await world.read(ALL);
  await world.deliver([0]);
  await world.kill();
  world.directory.moveLogAway();
  world.accounting.logGone();
  world.accounting.mayAllRepeat();
  await world.start(WITH_NOISE);
  expect(await faultsOf(world)).toEqual([]);
});

test('a log that was put back from before gives its changes other keys where another publication read them since', async () => {
  const world = await makeWorld();
  await world.start(WITHOUT_NOISE);
  world.commit(['a']);
  await world.read(ALL);
  await world.deliver([0, 1, 2]);
  const { log } = world.directory;
  const copy = join(log, '..', 'copy');
  cpSync(log, copy, { recursive: true });
  await world.kill();
  await world.start(WITH_NOISE);
  for (let i = 0; i < 3; i++) world.commit([NOISE, 'a', 'b', 'c', 'a']);
  await world.read(ALL);
  await world.deliver([0]);
  await world.kill();
  await world.start(WITHOUT_NOISE);
  await world.kill();
  rmSync(log, { recursive: true });
  cpSync(copy, log, { recursive: true });
  world.accounting.logGone();
  world.accounting.mayAllRepeat();
  await world.start(WITHOUT_NOISE);
  expect(await faultsOf(world)).toEqual([]);
});

test('what sinks had of a transaction that the server lost does not hide what it writes in its place', async () => {
  const world = await makeWorld();
  const { server, commit, read, deliver } = world;
  await world.start(WITHOUT_NOISE);
  commit(['a']);
  await read(ALL);
  await deliver([0, 1, 2]);
  const copy = server.copy();
  commit(['a', 'b', 'c', 'a', 'b', 'c', 'a', 'b', 'c']);
  // Its Begin and five of its rows.
  await read(6);
  await deliver([0, 1, 2]);
  await world.kill();
  server.restore(copy, { timeline: false });
  for (const tables of [['a'], ['b', 'a'], ['a'], ['b']]) commit(tables);
  await world.start(WITHOUT_NOISE);
  expect(await faultsOf(world)).toEqual([]);
});

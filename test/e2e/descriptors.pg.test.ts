// Few file descriptors, and clients or others that take them: the service lives, says why it waits, and everything arrives.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import type { LogEntry } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, Replica, seededRandom, TABLES, writeTransaction } from '../support/workload.ts';

const world = endToEnd();
const HOOK = new URL('../support/taken-descriptors.ts', import.meta.url).href;
/** Small segments, so that the log needs a descriptor for a new one now and then. */
const SEGMENTS = 'log: { segment_bytes: 64KB }';

const configured = (): string =>
  `${world.config({ sinks: [{ tables: TABLES }] }).replace('metrics: { listen: off }', 'metrics: { listen: "127.0.0.1:0" }')}${SEGMENTS}\n`;

/** Writes transactions and counts their changes. */
function writer() {
  const random = seededRandom(20);
  let version = 0;
  const written = {
    events: 0,
    write: async (transactions: number) => {
      for (let i = 0; i < transactions; i++) {
        written.events += await writeTransaction(world.database.client, {
          random,
          count: 1 + Math.floor(random() * 80),
          ids: { from: 0, to: 200 },
          nextVersion: () => ++version,
        });
      }
    },
  };
  return written;
}

const says = (log: readonly LogEntry[], words: string): boolean =>
  log.some((entry) => JSON.stringify(entry).includes(words));

async function arrivedExactly(events: number): Promise<void> {
  const replica = Replica.of(world.recorder.messages);
  expect({ changes: replica.changes, repeats: replica.repeats }).toEqual({ changes: events, repeats: 0 });
  await replica.compareWith(world.database.client);
}

test('with 128 descriptors, 400 half-open requests on each port neither end the service nor keep a change back', async () => {
  await createTables(world.database.client);
  const service = await world.start({ config: configured(), descriptors: 128 });
  const urls = ['api listens', 'metrics listens'].map((words) =>
    String(service.log.find(({ msg }) => msg === words)!['url']),
  );
  const sockets = new Set<Socket>();
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
  });
  let opened = 0;
  for (const url of urls) {
    for (let i = 0; i < 400; i++) {
      const socket = connect(Number(new URL(url).port), '127.0.0.1');
      sockets.add(socket.resume());
      socket.on('connect', () => {
        opened++;
        // Nothing at all, or half a head: no listener knows what they want before their time is over.
        if (i % 2 === 1) socket.write('GET /health HT');
      });
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
  }
  await waitFor(() => opened > 0 && says(service.log, 'is refused'), 'connections, and refusals');
  const written = writer();
  await written.write(30);
  await waitFor(() => world.recorder.messages.length >= written.events, 'the changes to arrive');
  await arrivedExactly(written.events);
  await waitFor(
    async () => (await service.health().catch(() => undefined))?.status === 'healthy',
    'an answer',
  );
  // Where nobody presses, they have their time and no more.
  await waitFor(() => sockets.size === 0, 'those that never say what they want to be let go of');
  expect(service.log.filter(({ msg }) => msg?.includes('is refused')).length).toBeLessThan(8);
  expect(service.log.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
  expect(await service.stop()).toBe(0);
});

test('while something else holds every descriptor, all wait and say so, and go on when there are some again', async () => {
  await createTables(world.database.client);
  const flag = join(world.directory, 'taken');
  const env = { NODE_OPTIONS: `--import=${HOOK}`, TAKEN_DESCRIPTORS: flag };
  const service = await world.start({ config: configured(), env, descriptors: 256 });
  const written = writer();
  await written.write(3);
  await waitFor(() => world.recorder.messages.length >= written.events, 'the first messages');
  writeFileSync(flag, '');
  await waitFor(() => existsSync(`${flag}.all`), 'none to be free');
  await written.write(60);
  await waitFor(() => says(service.log, 'LOG_NO_DESCRIPTORS'), 'the log to say what it lacks');
  await waitFor(() => says(service.log, 'no file descriptor left (EMFILE)'), 'the words for it');
  expect(service.child.exitCode).toBeNull();
  rmSync(flag);
  await waitFor(() => world.recorder.messages.length >= written.events, 'the changes to arrive', 120_000);
  await arrivedExactly(written.events);
  await waitFor(
    async () => (await service.health().catch(() => undefined))?.status === 'healthy',
    'it to be well',
  );
  expect(says(service.log, 'check hostname and port')).toBe(false);
  expect(says(service.log, 'emulator_base_url')).toBe(false);
  expect(await service.stop()).toBe(0);
});

// Random requests to the API of a real service: none is answered with 500, none hangs, and the service delivers afterwards.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { exchange, fuzzedRequests, statusesIn } from '../support/http-fuzz.ts';
import { PullClient } from '../support/pull-workers.ts';
import { waitFor } from '../support/wait.ts';
import { createTables, TABLES } from '../support/workload.ts';

/** `TAILRACE_TEST_FUZZ_REQUESTS=10000` sends more, `TAILRACE_TEST_SEED=7` others. */
const REQUESTS = Number(process.env['TAILRACE_TEST_FUZZ_REQUESTS'] ?? 1500);
const SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 1);
const AT_ONCE = 8;
/** An answer that takes longer hangs; nothing that is asked waits for messages longer than milliseconds. */
const HANG_MS = 60_000;

const world = endToEnd();

test(
  `${REQUESTS} random requests meet no 500 and no hang, and changes are delivered afterwards`,
  { timeout: 120_000 + REQUESTS * 100 },
  async () => {
    const { client } = world.database;
    await createTables(client);
    const service = await world.start({
      config: world.config({
        sinks: [
          { name: 'queue', tables: TABLES },
          { name: 'stream', type: 'sequin_stream', tables: TABLES },
        ],
      }),
    });
    await client.query(`insert into users select i, 1, 'before' from generate_series(1, 50) i`);
    const url = await service.apiUrl();
    const port = Number(new URL(url).port);
    const next = fuzzedRequests(SEED);
    const counts = new Map<number | 'none', number>();
    const failed: string[] = [];
    let left = REQUESTS;
    const sender = async (): Promise<void> => {
      while (left-- > 0) {
        const request = next();
        const statuses = statusesIn(await exchange(port, request, HANG_MS));
        const shown = request.bytes.toString('latin1').slice(0, 600);
        if (request.isWhole && statuses.length === 0) failed.push(`no answer: ${shown}`);
        for (const status of statuses.length === 0 ? (['none'] as const) : statuses) {
          counts.set(status, (counts.get(status) ?? 0) + 1);
          if (status === 500) failed.push(shown);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, sender));
    if (process.env['TAILRACE_TEST_FUZZ_REQUESTS'] !== undefined) console.log(Object.fromEntries(counts));
    expect(failed).toEqual([]);
    // They have reached what they were to reach.
    expect(counts.get(200)).toBeGreaterThan(REQUESTS / 20);
    expect(counts.get(400)).toBeGreaterThan(REQUESTS / 20);
    expect(service.child.exitCode).toBeNull();
    expect(service.log.filter(({ level, msg }) => level === 'fatal' || msg === 'a request failed')).toEqual(
      [],
    );
    for (const name of ['queue', 'stream']) {
      const answer = await fetch(`${url}/api/sinks/${name}`, {
        method: 'PATCH',
        headers: { 'content-type': 'application/json' },
        body: '{"status":"active"}',
      });
      expect(answer.status).toBe(200);
    }
    await client.query(`insert into users values (1000, 1, 'after')`);
    await waitFor(
      () => world.recorder.messages.some(({ body }) => body.includes('after')),
      'the queue to have it',
    );
    const pull = new PullClient(url, 'stream');
    await waitFor(async () => {
      const messages = await pull.receive({ batchSize: 100, waitFor: '1s' }).catch(() => []);
      if (messages.length > 0) await pull.ack(...messages);
      return messages.some(({ data }) => JSON.stringify(data).includes('after'));
    }, 'the stream to have it');
    expect(await service.stop()).toBe(0);
  },
);

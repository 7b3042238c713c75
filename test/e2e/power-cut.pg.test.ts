// The power goes at random moments under load: what was not synced is undone, and still nothing is missing and no gap is needed.
// Covered is every file that the service writes through node:fs: log segments, state file, ledgers, leases, and the names in
// their directories. The store is SQLite's, which goes around node:fs and keeps its own promises.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { AUDITED_SINK_NAMES } from '../support/restart-audit.ts';
import { RealRestartWorld } from '../support/restart-world.ts';
import { waitFor } from '../support/wait.ts';
import { seededRandom } from '../support/workload.ts';

const CUTS = Number(process.env['TAILRACE_TEST_CUTS'] ?? 4);
const SEED = Number(process.env['TAILRACE_TEST_SEED'] ?? 5);
const MAX_LIFE_MS = 2500;
vi.setConfig({ testTimeout: 120_000 + CUTS * 20_000 });

test.each(['durable', 'auto'])(
  `power cuts under load cost nothing and need no gap, with ack: %s (seed ${SEED})`,
  async (ack) => {
    const random = seededRandom(SEED);
    const world = new RealRestartWorld({ random, ack, forgetfulDisk: true });
    try {
      await world.open();
      for (let cut = 0; cut < CUTS; cut++) {
        world.start();
        if (random() < 0.8) await world.service!.ready();
        // A random moment of its life.
        await sleep(random() * MAX_LIFE_MS);
        await world.cutPower();
      }
      await world.stopWriting();
      world.start();
      await world.service!.ready();
      const probes = await world.probe();
      const [probe] = [...probes.values()];
      await waitFor(
        () => AUDITED_SINK_NAMES.every((sink) => world.audit.has(sink, probe!)),
        'the last change in every sink',
      );
      let faults: string[] = [];
      await waitFor(async () => {
        faults = await world.audit.faults(await world.client());
        return faults.length === 0;
      }, 'everything that was committed').catch(() => undefined);
      const { databases, sinks } = await world.service!.health();
      await world.stop();
      expect(faults.slice(0, 10)).toEqual([]);
      expect([...databases, ...sinks].flatMap(({ gaps }) => [...gaps])).toEqual([]);
      expect(world.audit.describe()).toBe('');
      if (process.env['TAILRACE_TEST_CUTS'] !== undefined) {
        console.log(`${CUTS} cuts, ack ${ack}: ${world.lastId} rows, ${world.audit.repeats} repeats`);
      }
    } finally {
      await world.close();
    }
  },
);

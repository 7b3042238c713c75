// `node bench/rules-proof.ts`: changes as fast as they go, through column rules, a template of groups and queues that rows name and leave, by a
// service that is killed again and again. Every message is compared with what was declared. Exit codes: 0 all is well, 1 a change was lost, came
// twice or in another order, is not as the rules have it, or shows what is masked.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startService, type ServiceProcess } from '../test/support/service.ts';
import { waitFor } from '../test/support/wait.ts';
import { cpuUsOf, peakRssMiBOf } from './process-figures.ts';
import { startAsked } from './proof/asked-process.ts';
import { RULED } from './proof/ruled-accounting.ts';
import type { RuledAnswer, RuledQuestion } from './proof/ruled-queues-process.ts';
import { startRuledWriters } from './proof/ruled-writers.ts';
import { BUILT_MAIN, configOf } from './tailrace.ts';
import { NO_SIZES, withWorkbench, type Workbench } from './workbench.ts';

const { values } = parseArgs({
  options: {
    /** At least so many of each. */
    changes: { type: 'string', default: '1000000' },
    kills: { type: 'string', default: '12' },
    /** Seconds from a start to the next kill, in the mean. */
    kill: { type: 'string', default: '15' },
    /** Ids that rows may have, and queues that they name. */
    rows: { type: 'string', default: '20000' },
    queues: { type: 'string', default: '64' },
    /** Requests in flight to each queue: what a kill may have again. */
    lanes: { type: 'string', default: '8' },
  },
});
const [minChanges, minKills, killSeconds, rows, queues, lanes] = [
  Number(values.changes),
  Number(values.kills),
  Number(values.kill),
  Number(values.rows),
  Number(values.queues),
  Number(values.lanes),
];
/** The service is never without work. */
const MAX_AHEAD = 100_000;
const LOOK_MS = 200;
const MESSAGES_PER_REQUEST = 10;
const TIMEOUT_MS = 1_800_000;

const pause = (ms: number): Promise<void> => new Promise((next) => setTimeout(next, ms));

/** Files below `directory` that hold `text`; the log of changes does, being the WAL as it came. */
const filesWith = (directory: string, text: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((file) => statSync(file).isFile() && !file.startsWith(join(directory, 'log')))
    .filter((file) => readFileSync(file).includes(text));

async function underKills(bench: Workbench): Promise<void> {
  const database = await bench.newDatabase();
  await database.client.query(
    `create sequence versions; create table t (${RULED.columns}); alter table t replica identity full; create publication bench for table t`,
  );
  const consumer = await startAsked<RuledQuestion, RuledAnswer>(bench, 'ruled-queues-process.ts');
  const figures = async (ask: 'figures' | 'life' = 'figures') => (await consumer.ask({ ask })).figures!;
  const directory = bench.newDirectory();
  const config = configOf(
    {
      database,
      slot: database.name,
      publication: 'bench',
      sinks: [
        {
          name: 'ruled',
          queue: RULED.queue,
          table: 't',
          options: {
            mask_key: `"${RULED.mask_key}"`,
            route_moves: 'convert',
            tables: `[${RULED.rules}]`,
          },
          destination: { group_id: RULED.group, lanes: String(lanes), lanes_min: String(lanes) },
        },
      ],
    },
    consumer.url,
  );
  const said: string[] = [];
  const start = (): ServiceProcess => startService({ directory: directory.path, config, main: BUILT_MAIN });
  let service = start();
  bench.onEnd(() => service.kill());
  await service.ready();
  let seen = await figures();
  const writers = await startRuledWriters({
    url: database.url,
    rows,
    regions: queues,
    delivered: () => seen.changes,
    maxAhead: MAX_AHEAD,
  });
  const beganMs = performance.now();
  let kills = 0;
  let cpuUs = 0;
  let rssMiB = 0;
  while (kills < minKills || writers.committed() < minChanges) {
    const killAtMs = performance.now() + Math.random() * 2 * killSeconds * 1000;
    while (performance.now() < killAtMs) {
      await pause(LOOK_MS);
      seen = await figures();
    }
    cpuUs += cpuUsOf(service.child.pid!) ?? 0;
    rssMiB = Math.max(rssMiB, peakRssMiBOf(service.child.pid!));
    await service.kill();
    kills++;
    seen = await figures('life');
    bench.progress(`${writers.committed()} changes, ${seen.changes} delivered; kill -9 number ${kills}`);
    said.push(JSON.stringify(service.log), ...service.printed);
    service = start();
  }
  const changes = await writers.stop();
  await service.ready();
  await waitFor(
    async () => {
      seen = await figures();
      return seen.changes >= changes;
    },
    `${changes} changes`,
    TIMEOUT_MS,
  );
  const seconds = (performance.now() - beganMs) / 1000;
  await waitFor(
    async () => (await service.health()).sinks[0]?.lagBytes === 0,
    'everything to be settled',
    TIMEOUT_MS,
  );
  const [sink] = (await service.health()).sinks;
  cpuUs += cpuUsOf(service.child.pid!) ?? 0;
  rssMiB = Math.max(rssMiB, peakRssMiBOf(service.child.pid!));
  const code = await service.stop();
  said.push(JSON.stringify(service.log), ...service.printed);
  seen = await figures();
  const different = (await consumer.ask({ ask: 'compare', url: database.url })).different!;
  const { deadLetters, inversions } = sink!;
  console.log(
    JSON.stringify(
      {
        changes,
        seconds,
        changesPerSecond: changes / seconds,
        kills,
        queues,
        lanes,
        delivered: seen,
        different,
        deadLetters,
        inversions,
        cpuUsPerChange: cpuUs / changes,
        rssMiB,
      },
      undefined,
      1,
    ),
  );
  for (const fault of seen.faults) bench.fault(fault);
  const expectNone = (what: string, found: number): void => {
    if (found !== 0) bench.fault(`${found} ${what}`);
  };
  expectNone('changes more or fewer than were committed', seen.changes - changes);
  expectNone('rows that are otherwise than the table has them', different);
  expectNone('dead letters', deadLetters);
  expectNone('inversions', inversions);
  expectNone('as exit code', code ?? -1);
  const inFlight = queues * lanes;
  if (seen.repeats.mostRequests > inFlight || seen.repeats.mostMessages > inFlight * MESSAGES_PER_REQUEST)
    bench.fault(`more came again after a kill than ${inFlight} requests`);
  if (said.some((text) => text.includes(RULED.planted)))
    bench.fault('the log of the service shows what is masked');
  for (const file of filesWith(join(directory.path, 'data'), RULED.planted))
    bench.fault(`${file} shows what is masked`);
  directory.remove();
  await database.drop();
}

process.exitCode = await withWorkbench({ sizes: NO_SIZES, profile: undefined }, async (bench) => {
  await underKills(bench);
  return bench.faults.length === 0 ? 0 : 1;
});

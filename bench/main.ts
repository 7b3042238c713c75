// `npm run bench`: measures Tailrace against its references, prints a table, writes JSON. Provisions what it needs, ends
// by itself, leaves nothing behind. Exit codes: 0 measured, 1 the accounting of some run failed, 2 bad usage.
import { parseArgs } from 'node:util';
import { machine, versions } from './machine.ts';
import { MICRO_BENCHMARKS, runMicro } from './micro/run.ts';
import type { Stage } from './micro/stage.ts';
import { budgetOf } from './report/budget.ts';
import { writeDocuments } from './report/documents.ts';
import { SCENARIOS, withTls, type Line, type ScenarioName } from './measurement.ts';
import { writeResult, type Result } from './results.ts';
import { backfill } from './scenarios/backfill.ts';
import { backlog } from './scenarios/backlog.ts';
import { DEFAULT_DISTANCES, distance } from './scenarios/distance.ts';
import { footprint } from './scenarios/footprint.ts';
import { growth } from './scenarios/growth.ts';
import { huge } from './scenarios/huge.ts';
import { isolation } from './scenarios/isolation.ts';
import { ALL_RATES, DEFAULT_RATES, latency } from './scenarios/latency.ts';
import { routes } from './scenarios/routes.ts';
import { rules } from './scenarios/rules.ts';
import { throttle } from './scenarios/throttle.ts';
import { replay } from './scenarios/replay.ts';
import { budgetTable, stageTable, tablesOf, textOf } from './table.ts';
import type { Limits } from './confinement.ts';
import { withWorkbench, type Sizes, type Workbench } from './workbench.ts';

const DEFAULT_SCENARIOS: readonly ScenarioName[] = ['drain', 'log', 'latency'];

const FULL: Sizes = {
  runs: 3,
  changes: 1_000_000,
  seconds: 30,
  hugeRows: 5_000_000,
  backlogMessages: 1_000_000,
  stallSeconds: 60,
  growthChanges: 200_000,
  unwantedChanges: 1_000_000,
  backfillRows: 2_000_000,
};
const QUICK: Sizes = {
  runs: 1,
  changes: 50_000,
  seconds: 5,
  hugeRows: 100_000,
  backlogMessages: 20_000,
  stallSeconds: 8,
  growthChanges: 20_000,
  unwantedChanges: 20_000,
  backfillRows: 50_000,
};

const HELP = `usage: npm run bench -- [scenario …] [options]
       npm run bench -- report        writes docs/performance.md anew from bench/results/latest.json

scenarios  ${SCENARIOS.join(', ')} (default: ${DEFAULT_SCENARIOS.join(', ')})

  --all            every scenario
  --changes N      changes in the slot of drain and log (default ${FULL.changes.toLocaleString('en')})
  --rows N         rows of the table of backfill (default ${FULL.backfillRows.toLocaleString('en')})
  --messages N     messages of backlog (default ${FULL.backlogMessages.toLocaleString('en')})
  --runs N         runs of each line, of which the median counts (default ${FULL.runs})
  --rates N,…      changes a second in latency (default ${DEFAULT_RATES.join(',')}; with --all ${ALL_RATES.join(',')})
  --stall SECONDS  how long a queue answers nothing in isolation (default ${FULL.stallSeconds})
  --rtt MS,…       milliseconds between request and answer in distance (default ${DEFAULT_DISTANCES.join(',')})
  --tls            each figure of what is delivered over HTTPS too
  --cpus N         the service has so many processors, or a part of one's time (0.5); needs control groups
  --memory MIB     the service has so much memory; needs control groups
  --keep           these figures stand in docs/performance.md from now on, instead of the same scenarios' before
  --quick          everything small, one run: does it work?
  --profile DIR    CPU profiles of the service into DIR
  --help           this text
`;

type Usage = {
  readonly scenarios: ReadonlySet<ScenarioName>;
  /** Do the figures stand in the documents from now on? */
  readonly kept: boolean;
  readonly rates: readonly number[];
  readonly distances: readonly number[];
  readonly sizes: Sizes;
  readonly tls: boolean;
  readonly limits?: Limits;
  readonly profile: string | undefined;
};

function parseUsage(args: readonly string[]): Usage | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      all: { type: 'boolean', default: false },
      changes: { type: 'string' },
      rows: { type: 'string' },
      messages: { type: 'string' },
      runs: { type: 'string' },
      rates: { type: 'string' },
      stall: { type: 'string' },
      rtt: { type: 'string' },
      keep: { type: 'boolean', default: false },
      tls: { type: 'boolean', default: false },
      cpus: { type: 'string' },
      memory: { type: 'string' },
      quick: { type: 'boolean', default: false },
      profile: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const unknown = positionals.filter((name) => !SCENARIOS.includes(name as ScenarioName));
  if (unknown.length > 0) throw new Error(`there is no scenario ${unknown.join(', ')}`);
  const named = positionals as ScenarioName[];
  const scenarios = values.all ? SCENARIOS : named.length > 0 ? named : DEFAULT_SCENARIOS;
  const sizes = {
    ...(values.quick ? QUICK : FULL),
    ...(values.changes !== undefined && { changes: wholeNumber('changes', values.changes) }),
    ...(values.rows !== undefined && { backfillRows: wholeNumber('rows', values.rows) }),
    ...(values.messages !== undefined && { backlogMessages: wholeNumber('messages', values.messages) }),
    ...(values.runs !== undefined && { runs: wholeNumber('runs', values.runs) }),
    ...(values.stall !== undefined && { stallSeconds: wholeNumber('stall', values.stall) }),
  };
  const rates =
    values.rates?.split(',').map((rate) => wholeNumber('rates', rate)) ??
    (values.all ? ALL_RATES : DEFAULT_RATES);
  const distances =
    values.rtt?.split(',').map((ms) => (ms === '0' ? 0 : wholeNumber('rtt', ms))) ?? DEFAULT_DISTANCES;
  const { cpus, memory } = values;
  const isConfined = cpus !== undefined || memory !== undefined;
  if (isConfined && values.keep)
    throw new Error('figures of a small machine do not stand for those of this one: leave --keep');
  return {
    scenarios: new Set(scenarios),
    kept: values.keep,
    rates,
    distances,
    sizes,
    tls: values.tls,
    ...(isConfined && {
      limits: {
        cpus: cpus === undefined ? undefined : share('cpus', cpus),
        memoryMiB: memory === undefined ? undefined : wholeNumber('memory', memory),
      },
    }),
    profile: values.profile,
  };
}

function share(name: string, text: string): number {
  const value = Number(text);
  if (!(value >= 0.01)) throw new Error(`--${name} takes a number of processors, not ${text}`);
  return value;
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text.replaceAll('_', ''));
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes a whole number, not ${text}`);
  return value;
}

async function measure(bench: Workbench, { scenarios, rates, distances }: Usage): Promise<Line[]> {
  const lines: Line[] = [];
  const measured = async (scenario: () => Promise<readonly Line[]>): Promise<void> => {
    lines.push(...(await scenario()));
    if (!bench.hasTls) return;
    for (const line of await bench.overTls(scenario)) lines.push({ ...line, name: withTls(line.name) });
  };
  const ofOneWal: readonly ScenarioName[] = ['drain', 'log', 'filter'];
  if (ofOneWal.some((name) => scenarios.has(name))) lines.push(...(await replay(bench, scenarios)));
  if (scenarios.has('latency')) await measured(() => latency(bench, rates));
  if (scenarios.has('huge')) await measured(() => huge(bench));
  if (scenarios.has('isolation')) await measured(() => isolation(bench));
  if (scenarios.has('backlog')) await measured(async () => [await backlog(bench)]);
  if (scenarios.has('growth')) await measured(() => growth(bench));
  if (scenarios.has('distance')) lines.push(...(await distance(bench, distances)));
  if (scenarios.has('throttle')) lines.push(...(await throttle(bench)));
  if (scenarios.has('routes')) lines.push(...(await routes(bench)));
  if (scenarios.has('rules')) lines.push(...(await rules(bench)));
  if (scenarios.has('backfill')) await measured(() => backfill(bench));
  if (scenarios.has('footprint')) lines.push(...(await footprint(bench)));
  return lines;
}

async function main(usage: Usage): Promise<number> {
  const measuredAt = new Date().toISOString();
  const { lines, faults, postgres } = await withWorkbench(usage, async (bench) => {
    const client = await bench.connect(bench.postgres.url());
    const { rows } = await client.query<{ server_version: string }>('show server_version');
    await client.end();
    return { lines: await measure(bench, usage), faults: bench.faults, postgres: rows[0]!.server_version };
  });
  const stages: Stage[] = [];
  if (usage.scenarios.has('micro')) {
    for (const name of MICRO_BENCHMARKS) {
      console.error(`micro: ${name}`);
      stages.push(...(await runMicro(name)));
    }
  }
  const result: Result = {
    measuredAt,
    machine: machine(),
    versions: versions(postgres),
    faults,
    lines,
    stages,
  };
  for (const { title, table } of tablesOf(lines)) console.log(`\n${title}\n\n${textOf(table)}`);
  if (stages.length > 0) console.log(`\nStages\n\n${textOf(stageTable(stages))}`);
  const budget = budgetOf(result);
  if (budget.length > 0) console.log(`\nBudget\n\n${textOf(budgetTable(budget))}`);
  console.log(`\nwritten to ${writeResult(result, usage.kept)}`);
  for (const fault of faults) console.error(`FAULT: ${fault}`);
  return faults.length === 0 ? 0 : 1;
}

let usage: Usage | undefined;
if (process.argv[2] === 'report') {
  await writeDocuments();
  process.exit(0);
}
try {
  usage = parseUsage(process.argv.slice(2));
} catch (error) {
  console.error(`${(error as Error).message}\n\n${HELP}`);
  process.exit(2);
}
if (usage === undefined) console.log(HELP);
else process.exitCode = await main(usage);

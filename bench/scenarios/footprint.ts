// `footprint`: what the service takes before it has done anything: memory when idle, time and CPU of a start.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TABLE_COLUMNS } from '../load/mixed.ts';
import { lineOf, type Line, type Run } from '../measurement.ts';
import { cpuUsOf, residentMiBOf } from '../process-figures.ts';
import { createSlots, whenActive } from '../slots.ts';
import { BUILT_MAIN, configOf, SOURCES_MAIN, startTailrace, type TailraceOptions } from '../tailrace.ts';
import type { Workbench } from '../workbench.ts';

const SINK_COUNTS = [1, 10];
/** After a start, until what it has left behind is given back. */
const SETTLE_MS = 10_000;
/** A start takes a fraction of a second: more runs than of a drain, for the same certainty. */
const STARTS_PER_RUN = 5;

const ENTRIES = [
  { entry: 'built', main: BUILT_MAIN },
  { entry: 'from sources', main: SOURCES_MAIN },
];

export async function footprint(bench: Workbench): Promise<Line[]> {
  const database = await bench.newDatabase();
  await database.client.query(`create table t (${TABLE_COLUMNS})`);
  await database.client.query('create publication bench for table t');
  const lines: Line[] = [];
  for (const { entry, main } of ENTRIES) {
    const options = (count: number): TailraceOptions => ({
      database,
      slot: 'footprint',
      publication: 'bench',
      main,
      sinks: Array.from({ length: count }, (_, i) => ({ name: `s${i}`, queue: `s${i}.fifo`, table: 't' })),
    });
    lines.push(commandLine(bench, `--version, ${entry}`, [main, '--version']));
    const directory = bench.newDirectory();
    const file = join(directory.path, 'tailrace.yaml');
    writeFileSync(file, configOf(options(1), bench.endpoint.url));
    lines.push(commandLine(bench, `check, ${entry}`, [main, 'check', '-c', file]));
    directory.remove();
    lines.push(await toStreaming(bench, `run, ${entry}`, options(1)));
    for (const count of SINK_COUNTS) lines.push(await idle(bench, entry, options(count)));
  }
  await database.drop();
  return lines;
}

/** A command that ends by itself. */
function commandLine(bench: Workbench, name: string, args: readonly string[]): Line {
  const runs: Run[] = [];
  const entrance = bench.confinement?.entrance ?? [];
  for (let i = 0; i < bench.sizes.runs * STARTS_PER_RUN; i++) {
    const startedMs = performance.now();
    // The shell's `time` is the only one that counts a child's CPU in milliseconds. https://www.gnu.org/software/bash/manual/bash.html#index-TIMEFORMAT
    const { status, stderr } = spawnSync(
      'bash',
      ['-c', `TIMEFORMAT='%U %S'; time "$@"`, 'bash', ...entrance, process.execPath, ...args],
      { encoding: 'utf8' },
    );
    const ms = performance.now() - startedMs;
    const times = /([\d.]+) ([\d.]+)\s*$/.exec(stderr);
    if (status !== 0 || times === null) throw new Error(`${name} ended with ${status}: ${stderr}`);
    runs.push({ figures: { startMs: ms, startCpuMs: (Number(times[1]) + Number(times[2])) * 1000 } });
  }
  return told(bench, lineOf({ scenario: 'footprint', name, work: 'from the shell to its end' }, runs));
}

async function toStreaming(bench: Workbench, name: string, options: TailraceOptions): Promise<Line> {
  const runs: Run[] = [];
  for (let i = 0; i < bench.sizes.runs * STARTS_PER_RUN; i++) {
    runs.push(
      await withService(bench, options, (pid, startedMs, activeMs) => ({
        figures: { startMs: activeMs - startedMs, startCpuMs: (cpuUsOf(pid) ?? Number.NaN) / 1000 },
      })),
    );
  }
  const work = 'a new data directory, a slot that is there, one sink; until the slot is active';
  return told(bench, lineOf({ scenario: 'footprint', name, work }, runs));
}

async function idle(bench: Workbench, entry: string, options: TailraceOptions): Promise<Line> {
  const runs: Run[] = [];
  for (let i = 0; i < bench.sizes.runs; i++) {
    runs.push(
      await withService(bench, options, async (pid) => {
        await new Promise((done) => setTimeout(done, SETTLE_MS));
        const before = cpuUsOf(pid) ?? Number.NaN;
        await new Promise((done) => setTimeout(done, SETTLE_MS));
        const cpuPercent = ((cpuUsOf(pid) ?? Number.NaN) - before) / SETTLE_MS / 10;
        const { rssMiB, pssMiB } = residentMiBOf(pid);
        return { figures: { rssMiB, pssMiB, cpuPercent } };
      }),
    );
  }
  const name = `idle, ${options.sinks.length === 1 ? 'one sink' : `${options.sinks.length} sinks`}, ${entry}`;
  return told(bench, lineOf({ scenario: 'footprint', name, work: '20 s after the start' }, runs));
}

async function withService(
  bench: Workbench,
  options: TailraceOptions,
  measure: (pid: number, startedMs: number, activeMs: number) => Run | Promise<Run>,
): Promise<Run> {
  await bench.endpoint.reset();
  await createSlots(options.database, [options.slot]);
  const directory = bench.newDirectory();
  const startedMs = performance.now();
  const tailrace = startTailrace(bench, directory.path, options);
  await tailrace.until(whenActive(options.database, options.slot));
  const run = await measure(tailrace.pid, startedMs, performance.now());
  await tailrace.stop();
  directory.remove();
  await options.database.client.query('select pg_drop_replication_slot($1)', [options.slot]);
  return run;
}

function told(bench: Workbench, line: Line): Line {
  const figures = Object.entries(line.median).map(([name, value]) => `${name} ${value}`);
  bench.progress(`footprint, ${line.name}: ${figures.join(', ')}`);
  return line;
}

// Writes what derives from the latest result: the tables between the markers of docs/performance.md, and its plots.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';
import type { Line } from '../measurement.ts';
import type { Stage } from '../micro/stage.ts';
import { readResult, type Result } from '../results.ts';
import { budgetTable, markdownOf, stageTable, tablesOf, type Table } from '../table.ts';
import { budgetOf } from './budget.ts';
import { plotsOf } from './plots.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const DOCUMENT = 'docs/performance.md';
const IMAGES = 'docs/images';
const NOT_MEASURED = 'Not measured in this run.';
const WORKERS = [1, 4, 16];

/** Text of each generated file by its path in the repository. */
export async function documentsOf(result: Result): Promise<ReadonlyMap<string, string>> {
  const plots = [...plotsOf(result)].map(([name, svg]) => [`${IMAGES}/${name}`, svg] as const);
  const sections: Readonly<Record<string, string>> = {
    machine: machineText(result),
    results: resultsText(result),
    budget: markdownOf(budgetTable(budgetOf(result))),
    stages: result.stages.length === 0 ? NOT_MEASURED : markdownOf(stageTable(result.stages)),
    workers: workersText(result),
  };
  const text = (await readFile(resolve(ROOT, DOCUMENT), 'utf8')).replaceAll(
    /(<!-- bench:(\w+) -->\n).*?(<!-- \/bench:\2 -->)/gs,
    (_, open: string, name: string, close: string) => `${open}\n${sections[name] ?? ''}\n\n${close}`,
  );
  const style = (await resolveConfig(resolve(ROOT, DOCUMENT))) ?? {};
  return new Map([[DOCUMENT, await format(text, { ...style, parser: 'markdown' })], ...plots]);
}

export async function writeDocuments(): Promise<void> {
  await mkdir(resolve(ROOT, IMAGES), { recursive: true });
  for (const [path, text] of await documentsOf(readResult())) {
    await writeFile(resolve(ROOT, path), text);
    console.log(path);
  }
}

function machineText({ measuredAt, machine, versions, faults }: Result): string {
  const changed = versions.dirty ? ' with changes' : '';
  const accounting =
    faults.length === 0
      ? 'every change of every run came exactly once and in order'
      : `the accounting found faults: ${faults.join('; ')}`;
  return (
    `Measured ${measuredAt.slice(0, 10)} on ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}; ` +
    `Node ${versions.node}, Postgres ${versions.postgres}, Tailrace ${versions.tailrace} at \`${versions.commit}\`${changed}; ${accounting}.`
  );
}

function resultsText(result: Result): string {
  const images = [...plotsOf(result).keys()].map((name) => `![${name.replace('.svg', '')}](images/${name})`);
  const tables = tablesOf(result.lines).map(
    ({ title, table, lines }) => `### ${title}\n\n${measuredText(lines)}${markdownOf(table)}`,
  );
  return [...images, ...tables].join('\n\n');
}

/** Says of which measurement lines are that are older than the rest. */
function measuredText(lines: readonly Line[]): string {
  const older = new Set(
    lines.flatMap(({ measured }) =>
      measured === undefined ? [] : [`Measured ${measured.day} at \`${measured.commit}\`.`],
    ),
  );
  return older.size === 0 ? '' : `${[...older].join(' ')}\n\n`;
}

/** What more sink workers would give, from the parts: the slowest of walsender, source and workers decides. */
function workersText({ stages, lines }: Result): string {
  const drain = lines.find(({ name }) => name === 'drain');
  const source = stageOf(stages, 'socket to log');
  const parts = ['read', 'walk to settle', 'request', 'ledger (8 requests a write)'].map((name) =>
    stageOf(stages, name),
  );
  if (drain === undefined || source === undefined || parts.includes(undefined)) return NOT_MEASURED;
  const sinkUs = parts.reduce<number>((sum, part) => sum + part!, 0);
  const senderUs = drain.median['senderCpuUsPerChange']!;
  const rate = (us: number): string => Math.round(1e6 / us).toLocaleString('en');
  const table: Table = {
    head: ['sink workers', 'changes/s', 'what holds it back'],
    rows: WORKERS.map((workers) => {
      const candidates = [
        { us: sinkUs / workers, what: `the workers: ${sinkUs.toFixed(1)} µs a change each` },
        { us: source, what: `the source: ${source.toFixed(1)} µs a row` },
        { us: senderUs, what: `Postgres' walsender: ${senderUs.toFixed(1)} µs a change` },
      ];
      const slowest = candidates.reduce((a, b) => (b.us > a.us ? b : a));
      return [String(workers), rate(slowest.us), slowest.what];
    }),
  };
  return markdownOf(table);
}

const stageOf = (stages: readonly Stage[], name: string): number | undefined =>
  stages.find(({ stage }) => stage === name)?.usPerRow;

// Who may ask for the time: core/clock.ts alone, so that nothing waits for a clock that somebody sets.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { onTheWall, steadyMs, wallMs } from '../src/core/clock.ts';

const source = resolve(import.meta.dirname, '../src');

const CLOCK = 'core/clock.ts';
/** A Date of a given time asks for none; one of nothing does. */
const ASKS_FOR_TIME =
  /\bDate\.now\b|\bnew Date\(\s*\)|(?<!new )\bDate\(\s*\)|\bperformance\b(?!\.md)|\bhrtime\b|\bprocess\.uptime\b/;

/** Without comments: they may speak of clocks. */
const codeOf = (text: string): string => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<![:'"`])\/\/.*$/gm, '');

test('only core/clock.ts asks for the time', () => {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const asking = files.filter((file) => ASKS_FOR_TIME.test(codeOf(readFileSync(join(source, file), 'utf8'))));
  expect(asking).toEqual([CLOCK]);
});

/**
 * The wall clock is for what people and other machines read. What is on this list has a reason to ask it; a deadline, a backoff or
 * an interval is none.
 */
const ASKS_THE_WALL: Readonly<Record<string, string>> = {
  'cli/demo/consumer.ts': 'latency against the commit time',
  'cli/run.ts': 'tells people when a stop ends at the latest',
  'cli/tail/printer.ts': 'formats that say when a message was made',
  'pipeline/intake/columns/inspection.ts': 'formats that say when a message was made',
  'pipeline/intake/table-plan.ts': 'formats that say when a message was made',
  'pipeline/sink/assembly.ts': 'latency against the commit time; hands it on',
  'pipeline/sink/pull/answers.ts': 'leases on record outlive the process',
  'pipeline/sink/status.ts': 'lag against the commit time',
  'pipeline/sink/supervisor.ts': 'lag in the status',
  'pipeline/source/disk-budget.ts': 'retention goes by the times of files',
  'pipeline/source/runner.ts': 'hands it to the status',
  'pipeline/source/thread.ts': 'hands it to the status',
  'postgres/replication/stream.ts': 'the client time of a status update',
  'sinks/aws/client.ts': 'signature dates',
  'sinks/aws/credentials.ts': 'the end that AWS gives credentials, once',
  'sinks/stream/stream.ts': 'leases on record outlive the process',
  'sinks/webhook/webhook.ts': 'signature dates, and dates in Retry-After',
};

test('the wall clock is asked in milliseconds only where somebody else reads or gives the time', () => {
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const imports = /import \{[^}]*\bwallMs\b[^}]*\} from '[^']*core\/clock\.ts'/;
  const asking = files.filter((file) => imports.test(readFileSync(join(source, file), 'utf8')));
  expect(asking.sort()).toEqual(Object.keys(ASKS_THE_WALL));
});

test('the steady clock is one clock in all threads, whenever they began', async () => {
  const module = new URL('../src/core/clock.ts', import.meta.url).href;
  const before = steadyMs();
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads');
     import(${JSON.stringify(module)}).then(({ steadyMs }) => parentPort.postMessage(steadyMs()));`,
    { eval: true },
  );
  const there = await new Promise<number>((done, fail) => worker.once('message', done).once('error', fail));
  const after = steadyMs();
  await worker.terminate();
  expect(there).toBeGreaterThan(before);
  expect(there).toBeLessThan(after);
});

test('a time of the steady clock is shown as the wall has it', () => {
  const before = wallMs();
  const shown = onTheWall(steadyMs() + 60_000).getTime();
  expect(shown).toBeGreaterThanOrEqual(before + 60_000 - 1);
  expect(shown).toBeLessThanOrEqual(wallMs() + 60_000 + 1);
});

// Runs micro-benchmarks, each in a process of its own (npx node bench/micro/run.ts [name …]), prints what a row costs.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Stage } from './stage.ts';

export const MICRO_BENCHMARKS = [
  'source',
  'log',
  'walk',
  'render',
  'sqs',
  'ledger',
  'where',
  'sink',
  'formats',
] as const;
export type MicroName = (typeof MICRO_BENCHMARKS)[number];

/** Each in a fresh process: what one has compiled and collected does not colour another. */
export async function runMicro(name: MicroName): Promise<Stage[]> {
  const child = fork(import.meta.filename, [name], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`the micro-benchmark ${name} ended with code ${String(code)}`);
  });
  failed.catch(() => undefined);
  const [stages] = await Promise.race([once(child, 'message'), failed]);
  return stages as Stage[];
}

async function stagesOf(name: MicroName): Promise<readonly Stage[]> {
  const module = (await import(`./${name}.ts`)) as { stages: () => Stage[] | Promise<Stage[]> };
  return module.stages();
}

if (import.meta.main) {
  if (process.send === undefined) {
    const names = process.argv.slice(2);
    for (const name of names.length > 0 ? (names as MicroName[]) : MICRO_BENCHMARKS) {
      for (const { stage, usPerRow, note = '' } of await runMicro(name)) {
        console.log(`${stage.padEnd(32)} ${usPerRow.toFixed(3).padStart(8)} µs a row  ${note}`);
      }
    }
  } else {
    process.on('disconnect', () => process.exit(0));
    process.send(await stagesOf(process.argv[2] as MicroName), () => process.exit(0));
  }
}

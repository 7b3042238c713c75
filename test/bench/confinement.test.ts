import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { expect, test } from 'vitest';
import { confine, type Limits } from '../../bench/confinement.ts';

const isPossible = (controller: string): boolean => {
  const folder = `/sys/fs/cgroup/${controller}`;
  try {
    accessSync(folder, constants.W_OK);
    return existsSync(`${folder}/cgroup.procs`);
  } catch {
    return false;
  }
};

/** Runs a script of Node in it. */
function runIn(limits: Limits, script: string) {
  const confinement = confine(limits);
  const [program, ...entrance] = confinement.entrance;
  try {
    const args = [...entrance, process.execPath, '--eval', script];
    const { stdout, signal } = spawnSync(program!, args, { encoding: 'utf8' });
    return { stdout, signal, kills: confinement.outOfMemoryKills() };
  } finally {
    confinement.remove();
  }
}

test.runIf(isPossible('memory'))('a service that takes more memory than it has is ended, and counted', () => {
  const greedy = 'const kept = []; for (;;) kept.push(Buffer.alloc(1024 * 1024, 1));';
  expect(runIn({ cpus: undefined, memoryMiB: 96 }, greedy)).toEqual({
    stdout: '',
    signal: 'SIGKILL',
    kills: 1,
  });
  const modest = "process.stdout.write('done')";
  expect(runIn({ cpus: undefined, memoryMiB: 96 }, modest)).toEqual({
    stdout: 'done',
    signal: null,
    kills: 0,
  });
});

test.runIf(isPossible('cpuset') && availableParallelism() > 1)(
  'a whole processor is one of them, for itself',
  () => {
    const count = "process.stdout.write(String(require('node:os').availableParallelism()))";
    expect(runIn({ cpus: 1, memoryMiB: undefined }, count).stdout).toBe('1');
  },
);

// A small machine for the service alone, by control groups of the kernel (version 1): a share of the processors, and so much memory.
// https://docs.kernel.org/admin-guide/cgroup-v1/index.html
import { availableParallelism } from 'node:os';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Limits = {
  /** Whole: bound to so many of them. A fraction: of one's time. Undefined: all. */
  readonly cpus: number | undefined;
  /** The kernel's cache of the files that it writes and reads is part of it. Undefined: all. */
  readonly memoryMiB: number | undefined;
};

export type Confinement = {
  /** What a command goes behind to run in it: becomes that command. */
  readonly entrance: readonly string[];
  /** Processes in it that the kernel has ended for want of memory. */
  outOfMemoryKills(): number;
  /** When nothing runs in it any more. */
  remove(): void;
};

const ROOT = '/sys/fs/cgroup';
const PERIOD_US = 100_000;

/** Throws where control groups cannot be made: only root may, and not in every container. */
export function confine({ cpus, memoryMiB }: Limits): Confinement {
  const name = `tailrace-bench-${process.pid}`;
  const groups: string[] = [];
  const group = (controller: string, files: Readonly<Record<string, string>>): void => {
    const path = join(ROOT, controller, name);
    if (!existsSync(join(ROOT, controller, 'cgroup.procs')))
      throw new Error(`--cpus and --memory need ${join(ROOT, controller)}, which this machine does not have`);
    mkdirSync(path);
    groups.push(path);
    for (const [file, value] of Object.entries(files)) writeFileSync(join(path, file), value);
  };
  const remove = (): void => groups.forEach((path) => rmdirSync(path));
  try {
    if (cpus !== undefined && Number.isInteger(cpus)) {
      const last = Math.min(cpus, availableParallelism()) - 1;
      group('cpuset', { 'cpuset.cpus': `0-${last}`, 'cpuset.mems': '0' });
    } else if (cpus !== undefined) {
      const quotaUs = Math.round(cpus * PERIOD_US);
      group('cpu', { 'cpu.cfs_period_us': String(PERIOD_US), 'cpu.cfs_quota_us': String(quotaUs) });
    }
    if (memoryMiB !== undefined)
      group('memory', { 'memory.limit_in_bytes': String(memoryMiB * 1024 * 1024) });
  } catch (error) {
    remove();
    throw error;
  }
  const enter = groups.map((path) => `echo $$ > ${join(path, 'cgroup.procs')}`);
  return {
    entrance: ['sh', '-c', [...enter, 'exec "$@"'].join(' && '), 'sh'],
    outOfMemoryKills: () => {
      if (memoryMiB === undefined) return 0;
      const control = readFileSync(join(ROOT, 'memory', name, 'memory.oom_control'), 'utf8');
      return Number(/oom_kill (\d+)/.exec(control)?.[1] ?? 0);
    },
    remove,
  };
}

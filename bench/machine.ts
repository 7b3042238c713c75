// What the figures were measured on: machine, versions, commit.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { resolve } from 'node:path';

export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
};

export type Versions = {
  readonly node: string;
  readonly postgres: string;
  readonly tailrace: string;
  readonly commit: string;
  /** Were there changes that are not committed? */
  readonly dirty: boolean;
};

const ROOT = resolve(import.meta.dirname, '..');
const GIB = 1024 ** 3;

export const machine = (): Machine => ({
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / GIB),
  kernel: release(),
});

export function versions(postgres: string): Versions {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const manifest = JSON.parse(readFileSync(resolve(ROOT, 'package.json'), 'utf8')) as { version: string };
  const known = { node: process.version, postgres, tailrace: manifest.version };
  try {
    // What the bench itself writes is no change of what it measures.
    const changed = git('status', '--porcelain', '--', ':!bench/results', ':!docs');
    return { ...known, commit: git('rev-parse', '--short=10', 'HEAD'), dirty: changed !== '' };
  } catch {
    return { ...known, commit: 'unknown', dirty: true };
  }
}

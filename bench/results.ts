// The result of a bench as JSON: bench/results/<date>-<commit>.json, and the newest as latest.json.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Machine, Versions } from './machine.ts';
import type { Line, Measured } from './measurement.ts';
import type { Stage } from './micro/stage.ts';

export type Result = {
  /** ISO 8601. */
  readonly measuredAt: string;
  readonly machine: Machine;
  readonly versions: Versions;
  /** Faults of the accounting; none in a good result. */
  readonly faults: readonly string[];
  readonly lines: readonly Line[];
  /** Of the micro-benchmarks. */
  readonly stages: readonly Stage[];
};

export const RESULTS = resolve(import.meta.dirname, 'results');
const LATEST = join(RESULTS, 'latest.json');

const measuredOf = ({ measuredAt, versions }: Result): Measured => ({
  day: measuredAt.slice(0, 10),
  commit: versions.commit,
});

/**
 * `newer` with what it did not measure taken from `older`: lines scenario by scenario, stages all or none. Each line of
 * `older` says when it was measured.
 */
export function merged(older: Result, newer: Result): Result {
  const anew = new Set(newer.lines.map(({ scenario }) => scenario));
  const before = measuredOf(older);
  const kept = older.lines
    .filter(({ scenario }) => !anew.has(scenario))
    .map((line) => ({ measured: before, ...line }));
  const stages = newer.stages.length > 0 ? newer.stages : older.stages;
  return { ...newer, lines: [...newer.lines, ...kept], stages };
}

/**
 * Returns the file's path. What is `kept` stands from now on in the latest result, from which the documents are made; the rest
 * is left beside it.
 */
export function writeResult(result: Result, kept: boolean): string {
  mkdirSync(RESULTS, { recursive: true });
  const suffix = kept ? '' : '-partial';
  const file = join(RESULTS, `${result.measuredAt.slice(0, 10)}-${result.versions.commit}${suffix}.json`);
  writeFileSync(file, textOf(result));
  if (kept) writeFileSync(LATEST, textOf(existsSync(LATEST) ? merged(readResult(), result) : result));
  return file;
}

const textOf = (result: Result): string => `${JSON.stringify(result, undefined, 2)}\n`;

export const readResult = (file: string = LATEST): Result => JSON.parse(readFileSync(file, 'utf8')) as Result;

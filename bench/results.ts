// The result of a bench as JSON: bench/results/<date>-<commit>.json, and the newest as latest.json.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Machine, Versions } from './machine.ts';
import type { Line } from './measurement.ts';
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

/**
 * Returns the file's path. Only a `whole` measurement becomes the latest, from which the documents are made: one of single
 * scenarios, or of smaller sizes, is kept beside it.
 */
export function writeResult(result: Result, whole: boolean): string {
  mkdirSync(RESULTS, { recursive: true });
  const suffix = whole ? '' : '-partial';
  const file = join(RESULTS, `${result.measuredAt.slice(0, 10)}-${result.versions.commit}${suffix}.json`);
  const text = `${JSON.stringify(result, undefined, 2)}\n`;
  writeFileSync(file, text);
  if (whole) writeFileSync(LATEST, text);
  return file;
}

export const readResult = (file: string = LATEST): Result => JSON.parse(readFileSync(file, 'utf8')) as Result;

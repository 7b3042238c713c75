// Puts pg2sqs' variables over its file: settings by their names, tables by the names of the tables.
import { formatTableName, parseTableName } from '../../core/selection.ts';
import type { Fault } from '../file/faults.ts';
import { PREFIX, TABLE_SETTINGS, TABLE_VARIABLE, type Pg2sqsSettings } from './variables.ts';

/** Environment over file. Tables are the same by their names, whatever numbers they have. */
export function mergeSettings(
  file: Pg2sqsSettings,
  environment: Pg2sqsSettings,
  faults: Fault[],
): Pg2sqsSettings {
  const merged = new Map(file);
  const inFile = numbersOf(file);
  const free = new Map(inFile.map((number) => [tableNameOf(file, number), number]));
  let next = inFile.length;
  for (const [name, setting] of environment) if (!TABLE_VARIABLE.test(name)) merged.set(name, setting);
  for (const number of numbersOf(environment)) {
    const name = tableNameOf(environment, number);
    if (name === undefined) {
      const path = `${PREFIX}T_${number}_NAME`;
      const message = 'this is missing, but other settings of this table are there';
      faults.push({ file: 'environment', path, message });
      continue;
    }
    const same = free.get(name);
    if (same !== undefined && isWhole(environment, number)) {
      for (const key of TABLE_SETTINGS.keys()) merged.delete(`T_${same}_${key}`);
    }
    free.delete(name);
    const target = same ?? next++;
    for (const key of TABLE_SETTINGS.keys()) {
      const setting = environment.get(`T_${number}_${key}`);
      if (setting !== undefined) merged.set(`T_${target}_${key}`, setting);
    }
  }
  return merged;
}

/** The numbers of tables, in their order; there may be holes. */
export function numbersOf(settings: Pg2sqsSettings): number[] {
  const numbers = new Set<number>();
  for (const name of settings.keys()) {
    const number = /^T_(\d+)_/.exec(name)?.[1];
    if (number !== undefined) numbers.add(Number(number));
  }
  return [...numbers].sort((a, b) => a - b);
}

/** `orders` and `public.orders` are one table. */
function tableNameOf(settings: Pg2sqsSettings, number: number): string | undefined {
  const text = settings.get(`T_${number}_NAME`)?.text;
  const name = text === undefined ? undefined : parseTableName(text);
  return name === undefined ? text : formatTableName(name);
}

/** All that pg2sqs asks of a table in variables: it then stands in the place of the file's, and nothing of that is left. */
function isWhole(settings: Pg2sqsSettings, number: number): boolean {
  const isPlace = (key: string): boolean => /^Q_.*(NAME|URL)$/.test(key);
  const hasQueue = [...TABLE_SETTINGS.keys()].some(
    (key) => isPlace(key) && settings.has(`T_${number}_${key}`),
  );
  return hasQueue && settings.has(`T_${number}_COLUMNS`);
}

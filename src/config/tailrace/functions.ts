// Functions as sinks get them: the paths that their `transform` names.
import { nearestName } from '../../core/nearest-name.ts';
import { DEFAULT_FORMAT, formatNames } from '../../formats/names.ts';
import { formats } from '../../formats/registry.ts';
import type { SinkSettings } from '../../pipeline/settings.ts';
import { listOf } from '../file/file-value.ts';
import type { FileConfig } from '../schema/file.ts';
import type { SinkConfig } from '../schema/sink.ts';
import type { Reader } from './cross-checks.ts';

/** Sequin's word for no function. */
const NONE = 'none';
/** Those whose messages have the members that a path begins with. */
const WITH_PATHS: readonly string[] = formatNames.filter((name) => formats[name].takesPaths === true);

/** Names of functions: each once, and known where a sink refers to it. */
export function checkFunctions({ file, faults }: Reader): void {
  const names = new Set<string>();
  const spellings = ['functions', 'transforms'].filter((key) => listOf(file, key).length > 0);
  for (const key of spellings.slice(1))
    faults.push(file.fault([key], `${spellings[0]} says this already: give one of the two`));
  for (const key of spellings) {
    for (const index of listOf(file, key).keys()) {
      const path = [key, index, 'name'];
      const name = file.text(path);
      if (name === undefined) continue;
      if (names.has(name)) faults.push(file.fault(path, `another of the ${key} is called "${name}" already`));
      names.add(name);
    }
  }
  for (const index of listOf(file, 'sinks').keys()) {
    const path = ['sinks', index, 'transform'];
    const name = file.text(path);
    if (name === undefined || name === NONE) continue;
    const format = file.text(['sinks', index, 'format']) ?? DEFAULT_FORMAT;
    if (!names.has(name)) {
      const nearest = nearestName(name, names);
      const fault = file.fault(path, `there is no function called "${name}"`);
      faults.push({ ...fault, allowed: [...names, NONE], ...(nearest !== undefined && { nearest }) });
    } else if (!WITH_PATHS.includes(format)) {
      const message = `a path is one into the messages of the formats ${WITH_PATHS.join(' and ')}: this sink has the format "${format}"`;
      faults.push(file.fault(path, message));
    }
  }
}

export function pathOf(
  { transform }: SinkConfig,
  { functions, transforms }: Pick<FileConfig, 'functions' | 'transforms'>,
): Pick<SinkSettings, 'path'> {
  const found = [...functions, ...transforms].find(({ name }) => name === transform);
  return found === undefined || transform === NONE ? {} : { path: found.path };
}

import { expect, test } from 'vitest';
import type { MessageFormat } from '../../src/formats/format.ts';
import { DEFAULT_FORMAT, formatNames } from '../../src/formats/names.ts';
import { formats } from '../../src/formats/registry.ts';

const all: readonly MessageFormat[] = Object.values(formats);

test('every format goes by its own name', () => {
  for (const [name, format] of Object.entries(formats)) expect(format.name).toBe(name);
  expect(formatNames).toContain(DEFAULT_FORMAT);
});

test('an option belongs to one format, may be left out, and is described', () => {
  const options = all.flatMap((format) => Object.entries(format.options?.shape ?? {}));
  const names = options.map(([name]) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const format of all) expect(format.options?.parse({}) ?? {}).toEqual({});
  const described = (option: object): unknown => (option as { description?: string }).description;
  expect(options.filter(([, option]) => described(option) === undefined)).toEqual([]);
});

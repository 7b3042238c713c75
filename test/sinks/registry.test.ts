import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { sinkDefinition, sinkDefinitions } from '../../src/sinks/registry.ts';

const root = resolve(import.meta.dirname, '../..');
const types = sinkDefinitions.map(({ type }) => type);

test.each(types)('the sink %s has a file, a test and a page of its name', (type) => {
  const files = [`src/sinks/${type}.ts`, `test/sinks/${type}.test.ts`, `docs/sinks/${type}.md`];
  expect(files.filter((file) => !existsSync(resolve(root, file)))).toEqual([]);
});

test.each(types)('every field of the sink %s is described, and its secrets are marked', (type) => {
  const schema = z.toJSONSchema(sinkDefinition(type)!.config, { io: 'input' });
  const fields = Object.entries(schema.properties ?? {}) as [
    string,
    { description?: string; secret?: boolean },
  ][];
  expect(fields.filter(([, { description }]) => description === undefined)).toEqual([]);
  const secrets = fields.filter(([name]) => /secret|token|password/.test(name));
  expect(secrets.filter(([, { secret }]) => secret !== true)).toEqual([]);
});

test.each(types)('the page of the sink %s names every field', (type) => {
  const page = readFileSync(resolve(root, `docs/sinks/${type}.md`), 'utf8');
  const schema = z.toJSONSchema(sinkDefinition(type)!.config, { io: 'input' });
  const fields = Object.keys(schema.properties ?? {});
  expect(fields.filter((field) => !page.includes(`\`${field}\``) && !page.includes(`${field}:`))).toEqual([]);
});

test('no two sinks have one type, and an unknown type has no definition', () => {
  expect(new Set(types).size).toBe(types.length);
  expect(sinkDefinition('carrier-pigeon')).toBeUndefined();
});

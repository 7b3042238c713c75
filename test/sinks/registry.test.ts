import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { jsonSchemaOfFile } from '../../src/config/schema/file-json-schema.ts';
import { jsonSchemaOf } from '../../src/config/schema/json-schema.ts';
import { formatNames } from '../../src/formats/names.ts';
import { endpointFields } from '../../src/sinks/http/endpoint.ts';
import { sinkDefinition, sinkDefinitions } from '../../src/sinks/registry.ts';

const root = resolve(import.meta.dirname, '../..');
const types = sinkDefinitions.map(({ type }) => type);

/** Of no sink alone: the contract, the list, and what several sinks share, by idea. */
const SHARED = /^src\/sinks\/(?:sink\.ts|registry\.ts|(?:aws|http|routing)\/.*)$/;

const sourceFiles = (directory: string): string[] =>
  readdirSync(resolve(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => `${directory}/${file}`);

/** The sink in whose folder this file is: `src/sinks/sqs/queue.ts`; undefined: nobody's. */
const ownerOf = (file: string): string | undefined =>
  types.find((type) => file.startsWith(`src/sinks/${type}/`));

const importsOf = (file: string): string[] =>
  [...readFileSync(resolve(root, file), 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) =>
    relative(root, resolve(root, dirname(file), match[1]!)),
  );

test.each(types)('the sink %s is a folder, a test of the shared suite, and a page', (type) => {
  const files = [
    `src/sinks/${type}/${type}.ts`,
    `test/sinks/${type}/${type}.test.ts`,
    `docs/sinks/${type}.md`,
  ];
  expect(files.filter((file) => !existsSync(resolve(root, file)))).toEqual([]);
  const suite = sinkDefinition(type)!.isPulled === true ? 'pullSinkSuite(' : 'sinkSuite(';
  expect(readFileSync(resolve(root, `test/sinks/${type}/${type}.test.ts`), 'utf8')).toContain(suite);
});

test('every file of src/sinks belongs to one sink, or to none', () => {
  const strangers = sourceFiles('src/sinks').filter(
    (file) => ownerOf(file) === undefined && !SHARED.test(file),
  );
  expect(strangers).toEqual([]);
});

test('nobody imports a sink’s files but itself and the registry, with one line', () => {
  const faults: string[] = [];
  for (const file of sourceFiles('src')) {
    for (const imported of importsOf(file)) {
      const owner = ownerOf(imported);
      if (owner === undefined || owner === ownerOf(file)) continue;
      if (file !== 'src/sinks/registry.ts' || imported !== `src/sinks/${owner}/${owner}.ts`) {
        faults.push(`${file} imports ${imported}`);
      }
    }
  }
  expect(faults).toEqual([]);
  const registered = importsOf('src/sinks/registry.ts').filter((file) => ownerOf(file) !== undefined);
  expect(registered).toHaveLength(types.length);
});

/** Who may: the language of a product that had one sink and one format, the demo of one sink, what AWS' sinks share. */
const KNOWS_NAMES = /^src\/(?:config\/pg2sqs|cli\/demo|sinks\/aws)\//;

test('no other code knows a sink or a format by its name', () => {
  const spellings = sinkDefinitions.flatMap(({ type, aliases = [] }) => [type, ...aliases]);
  // A format has the name of this program, which others may say.
  const formatsByName = formatNames.filter((name) => name !== 'tailrace');
  const named = new RegExp(`'(?:${[...spellings, ...formatsByName].join('|')})'`);
  const files = sourceFiles('src').filter(
    (file) =>
      ownerOf(file) === undefined &&
      !file.startsWith('src/formats/') &&
      file !== 'src/sinks/registry.ts' &&
      !KNOWS_NAMES.test(file),
  );
  const knowing = [...files, 'scripts/generate-docs.ts'].filter((file) =>
    named.test(readFileSync(resolve(root, file), 'utf8')),
  );
  expect(knowing).toEqual([]);
});

test.each(types)('every field of the sink %s is described, and its secrets are marked', (type) => {
  const schema = jsonSchemaOf(sinkDefinition(type)!.config);
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
  const schema = jsonSchemaOf(sinkDefinition(type)!.config);
  const fields = Object.keys(schema.properties ?? {});
  expect(fields.filter((field) => !page.includes(`\`${field}\``) && !page.includes(`${field}:`))).toEqual([]);
});

test('what a sink refers to is a list of the configuration', () => {
  const lists = Object.keys(jsonSchemaOfFile().properties ?? {});
  const fields = sinkDefinitions.flatMap(({ config }) =>
    Object.values(jsonSchemaOf(config).properties ?? {}),
  );
  const referred = fields.flatMap(({ refersTo }) => refersTo ?? []);
  expect(referred).toContain('http_endpoints');
  expect(referred.filter((name) => !lists.includes(name))).toEqual([]);
});

test('a sink that refers to an HTTP endpoint has the keys that it gets from there', () => {
  const schemas = sinkDefinitions.map(({ config }) => jsonSchemaOf(config).properties ?? {});
  const referring = schemas.filter((keys) =>
    Object.values(keys).some(({ refersTo }) => refersTo === 'http_endpoints'),
  );
  for (const keys of referring) {
    expect(Object.keys(keys)).toEqual(expect.arrayContaining(['url', ...Object.keys(endpointFields)]));
  }
});

test('no two sinks have one type, and an unknown type has no definition', () => {
  const spellings = sinkDefinitions.flatMap(({ type, aliases = [] }) => [type, ...aliases]);
  expect(new Set(spellings).size).toBe(spellings.length);
  expect(sinkDefinition('carrier-pigeon')).toBeUndefined();
});

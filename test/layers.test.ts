// Imports go down one list only (docs/architecture.md), inside `pipeline/` and `sinks/` too. Type-only imports count.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { sinkDefinitions } from '../src/sinks/registry.ts';

const source = resolve(import.meta.dirname, '../src');

/** From the lowest layer to the highest. Folders of one layer do not import each other. */
const LAYERS: readonly (readonly string[])[] = [
  ['core'],
  ['data-directory'],
  ['pgoutput', 'formats', 'sinks', 'functions', 'store', 'telemetry'],
  ['postgres', 'log'],
  ['pipeline'],
  ['config'],
  ['api', 'cli'],
  ['app.ts'],
  ['main.ts'],
];

/** The same inside a room: what stands there, from the lowest to the highest. */
const INNER_LAYERS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  pipeline: [['settings.ts'], ['delivery', 'threads'], ['intake'], ['source'], ['sink'], ['service']],
  sinks: [
    ['sink.ts'],
    ['routing'],
    ['http'],
    ['aws'],
    sinkDefinitions.map(({ type }) => type),
    ['registry.ts'],
  ],
};

function* filesBelow(directory: string): Generator<string> {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) yield* filesBelow(path);
    else if (path.endsWith('.ts')) yield path;
  }
}

const files = [...filesBelow(source)].map((path) => relative(source, path));

/** Relative to src/, `import type` and `import()` included. */
const importsOf = new Map(
  files.map((file) => {
    const text = readFileSync(join(source, file), 'utf8');
    const specifiers = [...text.matchAll(/(?:\bfrom|\bimport\(|\bimport)\s*'(\.[^']+)'/g)];
    return [
      file,
      specifiers.map(([, specifier]) => relative(source, resolve(source, dirname(file), specifier!))),
    ];
  }),
);

const layerIn = (layers: readonly (readonly string[])[], room: string): number =>
  layers.findIndex((layer) => layer.includes(room));

/** Imports that do not go down the list; `depth`: which part of a path names the room. */
function faultsOf(layers: readonly (readonly string[])[], depth: number, below = ''): string[] {
  const faults: string[] = [];
  for (const [file, imports] of importsOf) {
    if (!file.startsWith(below)) continue;
    const from = file.split('/')[depth]!;
    for (const imported of imports) {
      if (!imported.startsWith(below)) continue;
      const to = imported.split('/')[depth]!;
      if (to !== from && layerIn(layers, to) >= layerIn(layers, from)) faults.push(`${file} → ${imported}`);
    }
  }
  return faults;
}

test('every room of src stands in the list of layers', () => {
  const unknown = files.map((file) => file.split('/')[0]!).filter((room) => layerIn(LAYERS, room) === -1);
  expect([...new Set(unknown)]).toEqual([]);
});

test('imports go down the list of layers only', () => {
  expect(faultsOf(LAYERS, 0)).toEqual([]);
});

for (const [room, layers] of Object.entries(INNER_LAYERS)) {
  test(`everything in ${room}/ stands in its list, and imports there go down it only`, () => {
    const inner = files.filter((file) => file.startsWith(`${room}/`)).map((file) => file.split('/')[1]!);
    expect([...new Set(inner)].filter((name) => layerIn(layers, name) === -1)).toEqual([]);
    expect(faultsOf(layers, 1, `${room}/`)).toEqual([]);
  });
}

test('no files import each other in a circle, types included', () => {
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
    if (done.has(file) || path.includes(file)) return;
    for (const imported of importsOf.get(file) ?? []) visit(imported, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  expect(circles).toEqual([]);
});

test('every source file opens with a sentence that says what it is for', () => {
  const silent = files.filter((file) => !/^(#!.*\n)?\/\/ /.test(readFileSync(join(source, file), 'utf8')));
  expect(silent).toEqual([]);
});

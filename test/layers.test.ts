// Imports go down one list only (docs: architecture). This test reads every import of src/.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const source = resolve(import.meta.dirname, '../src');

/** Lower number = lower layer. Folders of one layer do not import each other. */
const LAYERS: readonly (readonly string[])[] = [
  ['core'],
  ['pgoutput', 'data-directory', 'formats', 'sinks', 'functions', 'store', 'telemetry'],
  ['postgres', 'log'],
  ['pipeline'],
  ['config'],
  ['api', 'cli'],
  ['app.ts'],
  ['main.ts'],
];

const layerOf = (room: string): number => LAYERS.findIndex((layer) => layer.includes(room));

function* filesBelow(directory: string): Generator<string> {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (statSync(path).isDirectory()) yield* filesBelow(path);
    else if (path.endsWith('.ts')) yield path;
  }
}

const roomOf = (path: string): string => relative(source, path).split('/')[0]!;

test('every room of src stands in the list of layers', () => {
  const unknown = [...filesBelow(source)].map(roomOf).filter((room) => layerOf(room) === -1);
  expect([...new Set(unknown)]).toEqual([]);
});

test('imports go down the list of layers only', () => {
  const faults: string[] = [];
  for (const file of filesBelow(source)) {
    const from = roomOf(file);
    const specifiers = readFileSync(file, 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)'/g);
    for (const [, specifier] of specifiers) {
      const to = roomOf(resolve(dirname(file), specifier!));
      if (to === from) continue;
      if (layerOf(to) >= layerOf(from)) faults.push(`${relative(source, file)} imports ${to}`);
    }
  }
  expect(faults).toEqual([]);
});

test('every source file opens with a sentence that says what it is for', () => {
  const silent = [...filesBelow(source)].filter(
    (file) => !/^(#!.*\n)?\/\/ /.test(readFileSync(file, 'utf8')),
  );
  expect(silent.map((file) => relative(source, file))).toEqual([]);
});

// What is published: that the built files name what they need, and nothing else.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join, posix, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, NOTICES, type Built } from '../scripts/build.ts';

const { dependencies } = JSON.parse(
  readFileSync(resolve(import.meta.dirname, '../package.json'), 'utf8'),
) as {
  dependencies: Record<string, string>;
};

const target = mkdtempSync(join(tmpdir(), 'tailrace-build-'));
afterAll(() => rmSync(target, { recursive: true, force: true }));

let built: Built;
beforeAll(async () => (built = await build(target)));

/** By name at run time, so that the builder does not see it: src/functions/where/patterns/matcher.ts. */
const REQUIRED = 're2js';

/** The demo's, which says where it can run. */
const OF_A_CHECKOUT = ['fauxqs'];

test('what the built files import by name are the dependencies of the package, all of them', () => {
  const packages = [...built.imports].filter((name) => !isBuiltin(name) && !OF_A_CHECKOUT.includes(name));
  expect([...packages, REQUIRED].toSorted()).toEqual(Object.keys(dependencies).toSorted());
});

test('every library that is built in has its licence in the notices', () => {
  const notices = readFileSync(join(target, NOTICES), 'utf8');
  for (const name of ['fastify', 'zod', 'pg', 'yaml', '@aws-sdk/client-sqs', 'commander'])
    expect(notices).toMatch(new RegExp(`^${name} \\d[\\w.]* \\((MIT|ISC|Apache-2.0)\\)$`, 'm'));
});

test('a thread is started from where its file stands', () => {
  const text = (file: string): string => readFileSync(join(target, file), 'utf8');
  const places = built.files.flatMap((file) =>
    [...text(file).matchAll(/new URL\("([^"]+)", import\.meta\.url\)\.href/g)].map(([, place]) =>
      posix.join(posix.dirname(file), place!),
    ),
  );
  // The module that names a worker stands beside it.
  for (const room of ['pipeline/source', 'pipeline/sink', 'functions/where'])
    expect(places.map((place) => posix.dirname(place))).toContain(room);
  expect(built.files).toEqual(
    expect.arrayContaining([
      'pipeline/source/worker.js',
      'pipeline/sink/worker.js',
      'functions/where/parsing-worker.js',
    ]),
  );
});

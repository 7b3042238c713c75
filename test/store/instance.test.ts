import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { beginLife } from '../../src/store/instance.ts';
import { scratchDirectory } from '../log/stream.ts';

test('an instance keeps its id, and counts its lives; every life has a word of its own', () => {
  const directory = scratchDirectory();
  const lives = [1, 2, 3].map(() => beginLife(directory));
  expect(lives.map(({ life }) => life)).toEqual([1, 2, 3]);
  expect(new Set(lives.map(({ instance }) => instance)).size).toBe(1);
  expect(new Set(lives.map(({ nonce }) => nonce)).size).toBeGreaterThan(1);
  expect(beginLife(scratchDirectory()).instance).not.toBe(lives[0]!.instance);
  expect(statSync(join(directory, 'instance')).mode & 0o777).toBe(0o600);
});

test('an instance that is damaged is another one, which ends nobody’s walsenders', () => {
  const directory = scratchDirectory();
  const { instance } = beginLife(directory);
  const file = join(directory, 'instance');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"life":1', '"life":0'));
  const anew = beginLife(directory);
  expect(anew.instance).not.toBe(instance);
  expect(anew.life).toBe(1);
});

// What is asked of V8 it must know: it says nothing of a flag that it does not.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { HEAP_FLAGS } from '../../../src/pipeline/threads/memory.ts';

test('V8 knows the flags that are set for its heaps', () => {
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8', maxBuffer: 2 ** 24 });
  const names = HEAP_FLAGS.map((flag) => flag.replace(/^--(no-)?/, '--').replace(/=.*/, ''));
  expect(names.filter((name) => !known.includes(`${name} (`))).toEqual([]);
  expect(known).not.toContain('--allocation-site-doubting (');
});

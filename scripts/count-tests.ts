// Adds up the test counts that the runs printed into a file: the one line that CI ends with.
import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';

const file = process.argv[2];
if (file === undefined) {
  console.error('usage: count-tests.ts FILE');
  process.exit(2);
}
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const line of stripVTControlCharacters(readFileSync(file, 'utf8')).split('\n')) {
  if (!/^\s*Tests\s/.test(line)) continue;
  for (const [, count, what] of line.matchAll(/(\d+) (passed|failed|skipped)/g)) {
    counts[what as keyof typeof counts] += Number(count);
  }
}
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);

// Writes src/functions/where/letters/unicode.ts: small and capital letters beyond ASCII, one character for one, as the Unicode of this Node
// has them. Logs hold what a server has otherwise, so it is written once and stays: `node scripts/where-letters.ts`.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FIRST_LETTER, LAST_LETTER } from '../src/functions/where/letters/letters.ts';
import { writeRuns } from '../src/functions/where/letters/runs.ts';

function mapped(map: (character: string) => string): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (let code = FIRST_LETTER; code <= LAST_LETTER; code++) {
    const result = Array.from(map(String.fromCodePoint(code)));
    const to = result[0]!.codePointAt(0)!;
    if (result.length === 1 && to !== code) found.set(code, to);
  }
  return found;
}

const lines = (text: string): string => text.replace(/(.{1,130})(?: |$)/g, '$1\n').trim();
const constant = (name: string, map: ReadonlyMap<number, number>): string =>
  `export const ${name} = \`\n${lines(writeRuns(map))}\n\`;\n`;

await writeFile(
  join(import.meta.dirname, '../src/functions/where/letters/unicode.ts'),
  [
    `// Small and capital letters of Unicode ${process.versions['unicode']}, one character for one. Written by scripts/where-letters.ts, once: logs say only what a server has otherwise.\n`,
    constant(
      'LOWER',
      mapped((character) => character.toLowerCase()),
    ),
    constant(
      'UPPER',
      mapped((character) => character.toUpperCase()),
    ),
  ].join('\n'),
);

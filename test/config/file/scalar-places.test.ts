// A place within a text of the configuration is a place in the file, however YAML wrote the text.
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { placeInScalar } from '../../../src/config/file/scalar-places.ts';

/** The text from the place of `wanted` on. */
function found(written: string, wanted: string): string {
  const value = parse(`x: ${written}`).x as string;
  return written.slice(placeInScalar(written, value, value.indexOf(wanted)));
}

test.each([
  ['plain', 'a = 1 and WRONG = 2'],
  ['in double quotes', '"a = \\"x\\\\y\\" \\u00e9 and WRONG = 2"'],
  ['in single quotes', "'a = ''x'' and WRONG = 2'"],
  ['literal', '|\n  a = 1\n\n    and b = 2\n  and WRONG = 3\n'],
  ['literal, its end cut', '|-\n    a = 1\n    and WRONG = 3\n'],
  ['folded', '>\n  a = 1\n  and b = 2\n\n  and c = 3\n  and WRONG = 3\n'],
  ['plain over several lines', 'a = 1\n  and b = 2\n  and WRONG = 3'],
  ['in double quotes over several lines', '"a = 1\n  and b = 2 \\\n  and c = 3\n\n  and WRONG = 3"'],
  ['with letters of any length', "'a = ''😀'' and WRONG = 2'"],
])('%s', (_, written) => {
  expect(found(written, 'WRONG').startsWith('WRONG')).toBe(true);
});

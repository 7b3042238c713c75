// Finds a pattern in a text, in a time that grows with the text and no faster. The engine is loaded where a filter has a pattern, and not before.
// Hot (bench/micro/where.ts).
import { createRequire } from 'node:module';
import type { CodeRange, Letters } from '../letters/letters.ts';
import type { CharacterSet, Pattern } from './pattern.ts';

const require = createRequire(import.meta.url);

/** Undefined: it is larger than the engine takes. `letters`: whose forms are all taken for one; undefined: case matters. */
export function patternTest(
  pattern: Pattern,
  letters: Letters | undefined,
): ((text: string) => boolean) | undefined {
  const { RE2JS, RE2JSException } = require('re2js') as typeof import('re2js');
  try {
    const engine = RE2JS.compile(written(pattern, letters), RE2JS.DOTALL);
    return (text) => engine.test(text);
  } catch (error) {
    if (error instanceof RE2JSException) return undefined;
    throw error;
  }
}

/** https://github.com/google/re2/wiki/Syntax */
function written(pattern: Pattern, letters: Letters | undefined): string {
  switch (pattern.kind) {
    case 'one':
      return writtenSet(letters === undefined ? pattern : withAllForms(pattern, letters));
    case 'start':
      return '\\A';
    case 'end':
      return '\\z';
    case 'boundary':
      return '\\b';
    case 'no-boundary':
      return '\\B';
    case 'sequence':
      return pattern.parts.map((part) => grouped(part, letters)).join('');
    case 'choice':
      return pattern.parts.map((part) => written(part, letters)).join('|');
    case 'repeat': {
      const { part, min, max } = pattern;
      return `(?:${written(part, letters)}){${min}${max === min ? '' : `,${max === Infinity ? '' : max}`}}`;
    }
    default:
      return pattern satisfies never;
  }
}

const grouped = (part: Pattern, letters: Letters | undefined): string =>
  part.kind === 'choice' ? `(?:${written(part, letters)})` : written(part, letters);

function writtenSet({ ranges, negated }: CharacterSet): string {
  if (ranges.length === 0) return negated ? '.' : NEVER;
  const [[from, to]] = ranges as [CodeRange];
  if (ranges.length === 1 && from === to && !negated) return hex(from);
  return `[${negated ? '^' : ''}${ranges.map(([low, high]) => (low === high ? hex(low) : `${hex(low)}-${hex(high)}`)).join('')}]`;
}

const NEVER = '[^\\x{0}-\\x{10ffff}]';
const hex = (codePoint: number): string => `\\x{${codePoint.toString(16)}}`;

function withAllForms({ ranges, negated }: CharacterSet, letters: Letters): CharacterSet {
  return { ranges: ranges.flatMap((range) => letters.formsOf(range)), negated };
}

// Regular expressions: `~`, `~*`, `!~`, `!~*` and, by way of them, SIMILAR TO.
// https://www.postgresql.org/docs/current/functions-matching.html
import type { TextUnit } from '../../../core/change.ts';
import { patternTest } from '../patterns/matcher.ts';
import { parsePattern } from '../patterns/parse.ts';
import { PatternFault, rangesIn } from '../patterns/pattern.ts';
import { similarPattern } from '../patterns/similar.ts';
import type { Letters } from '../letters/letters.ts';
import { ABSENT } from '../values/value.ts';
import {
  inUnits,
  ofLetters,
  operation,
  unknownTexts,
  type Operation,
  type Operations,
  type Outcome,
} from './operation.ts';

type Kind = { readonly isWanted: boolean; readonly ignoresCase: boolean };

/** The pattern is a constant: it is read once, and what is not in it cannot come later. */
const match = (kind: Kind): Operation => ({
  ...unknownTexts,
  texts: 'equal',
  ofConstant: {
    index: 1,
    wanted: 'a regular expression must stand here as a constant',
    make: (value) => inUnits(matchOf(value as string, kind), ...unitsOf(value as string)),
  },
});

/** A range goes by the numbers that characters have in the database, and so does an escape. */
function unitsOf(text: string): readonly TextUnit[] {
  const beyond = rangesIn(parsePattern(text).pattern).filter(([, to]) => to > LAST_OF_ASCII);
  const isByNumber = beyond.some(([from, to]) => from < to) || (beyond.length > 0 && /\\[xu]/i.test(text));
  return isByNumber ? ['characters', 'bytes'] : ['characters'];
}

const LAST_OF_ASCII = 0x7f;

function matchOf(text: string, { isWanted, ignoresCase }: Kind): Operation {
  const { pattern, hasClasses } = parsePattern(text);
  const tested = (letters?: Letters): ((tested: string) => boolean) => {
    const test = patternTest(pattern, letters);
    if (test === undefined)
      throw new PatternFault('this is larger than can be matched in linear time', text, 0);
    return isWanted ? test : (found) => !test(found);
  };
  // Also where the letters are not known before a row comes.
  const plain = tested();
  if (!hasClasses && !ignoresCase) return operation(plain, 'equal');
  return ofLetters((letters): ((tested: string) => Outcome) => {
    // Of the characters of the pattern: those of the text are as they are.
    const isKnown = !ignoresCase || rangesIn(pattern).every((range) => letters.knowsForms(range));
    if (!isKnown) return () => ABSENT;
    const test = ignoresCase ? tested(letters) : plain;
    return hasClasses ? (found) => (letters.knowsClasses(found) ? test(found) : ABSENT) : test;
  });
}

const OPERATORS = {
  '~': match({ isWanted: true, ignoresCase: false }),
  '!~': match({ isWanted: false, ignoresCase: false }),
  '~*': match({ isWanted: true, ignoresCase: true }),
  '!~*': match({ isWanted: false, ignoresCase: true }),
};

export const patterns: Operations = {
  ...Object.fromEntries(
    Object.entries(OPERATORS).flatMap(([name, made]) => [
      [`${name} text text`, made],
      [`${name} bpchar text`, made],
    ]),
  ),
  'similar_to_escape text': operation((pattern: string) => similarPattern(pattern, '\\')),
  'similar_to_escape text text': operation(similarPattern),
};

// Operators and functions of texts and bytes. Pure.
// https://www.postgresql.org/docs/current/functions-string.html
import { createHash } from 'node:crypto';
import { byteCount } from '../values/bytes.ts';
import { EvaluationError } from '../values/failure.ts';
import {
  characterCount,
  like,
  likeEscape,
  positionOf,
  slice,
  splitPart,
  trim,
  withoutBlanks,
} from '../values/texts.ts';
import { ABSENT } from '../values/value.ts';
import { inUnits, ofLetters, operation, type Operation, type Operations } from './operation.ts';

/** What the server's own limit is: no text is longer. */
const MAX_TEXT_BYTES = 1_073_741_823;

/** Beyond ASCII they may be the server's own: what it makes of such a text is not known here. */
const lower = ofLetters((letters) => (text: string) => letters.lower(text) ?? ABSENT);
const upper = ofLetters((letters) => (text: string) => letters.upper(text) ?? ABSENT);

const ilike = (isWanted: boolean): Operation =>
  inUnits(
    ofLetters((letters) => (text: string, pattern: string) => {
      const [a, b] = [letters.lower(text), letters.lower(pattern)];
      return a === undefined || b === undefined ? ABSENT : like(a, b) === isWanted;
    }),
    'characters',
  );

/** From 1; what lies before the first character takes its part of the length. */
function substring(text: string, start: number, length?: number): string {
  if (length === undefined) return slice(text, start - 1);
  if (length < 0) throw new EvaluationError('22011');
  return slice(text, Math.max(0, start - 1), Math.max(0, start - 1 + length));
}

const left = (text: string, count: number): string =>
  count >= 0 ? slice(text, 0, count) : slice(text, 0, Math.max(0, characterCount(text) + count));

/** Of the least int4, whose negative is none, the server takes nothing away. */
const LEAST_INT4 = -2_147_483_648;

function right(text: string, count: number): string {
  if (count === 0) return '';
  if (count > 0) return slice(text, Math.max(0, characterCount(text) - count));
  return count === LEAST_INT4 ? text : slice(text, -count);
}

function repeat(text: string, count: number): string {
  const times = Math.max(0, count);
  if (Buffer.byteLength(text) * times > MAX_TEXT_BYTES) throw new EvaluationError('54000');
  return text.repeat(times);
}

const replace = (text: string, from: string, to: string): string =>
  from === '' ? text : text.replaceAll(from, () => to);

const length = inUnits(
  operation((text: string) => characterCount(text)),
  'characters',
);
const lengthWithoutBlanks = inUnits(
  operation((text: string) => characterCount(withoutBlanks(text))),
  'characters',
);
const position = inUnits(
  operation((text: string, wanted: string) => positionOf(text, wanted), 'equal'),
  'characters',
);
const substr = inUnits(
  operation((text: string, start: number, count: number) => substring(text, start, count)),
  'characters',
);
const substrToEnd = inUnits(
  operation((text: string, start: number) => substring(text, start)),
  'characters',
);
const likeText = inUnits(
  operation((text: string, pattern: string) => like(text, pattern), 'equal'),
  'characters',
);
const notLikeText = inUnits(
  operation((text: string, pattern: string) => !like(text, pattern), 'equal'),
  'characters',
);

export const texts: Operations = {
  '|| text text': operation((a: string, b: string) => a + b),
  '~~ text text': likeText,
  '!~~ text text': notLikeText,
  '~~* text text': ilike(true),
  '!~~* text text': ilike(false),
  '~~ bpchar text': likeText,
  '!~~ bpchar text': notLikeText,
  '~~* bpchar text': ilike(true),
  '!~~* bpchar text': ilike(false),
  'like_escape text text': operation((pattern: string, escape: string) => likeEscape(pattern, escape)),
  'lower text': lower,
  'upper text': upper,
  'length text': length,
  'length bpchar': lengthWithoutBlanks,
  'char_length text': length,
  'char_length bpchar': lengthWithoutBlanks,
  'character_length text': length,
  'character_length bpchar': lengthWithoutBlanks,
  'octet_length text': inUnits(
    operation((text: string) => Buffer.byteLength(text)),
    'bytes',
  ),
  'octet_length bpchar': inUnits(
    operation((text: string) => Buffer.byteLength(text)),
    'bytes',
  ),
  'left text int4': inUnits(operation(left), 'characters'),
  'right text int4': inUnits(operation(right), 'characters'),
  'substring text int4': substrToEnd,
  'substring text int4 int4': substr,
  'substr text int4': substrToEnd,
  'substr text int4 int4': substr,
  'position text text': position,
  'strpos text text': position,
  'starts_with text text': operation((text: string, start: string) => text.startsWith(start), 'equal'),
  'split_part text text int4': operation(splitPart, 'equal'),
  'replace text text text': operation(replace, 'equal'),
  'btrim text text': inUnits(
    operation((text: string, set: string) => trim(text, set, 'both')),
    'characters',
  ),
  'btrim text': operation((text: string) => trim(text, ' ', 'both')),
  'ltrim text text': inUnits(
    operation((text: string, set: string) => trim(text, set, 'start')),
    'characters',
  ),
  'ltrim text': operation((text: string) => trim(text, ' ', 'start')),
  'rtrim text text': inUnits(
    operation((text: string, set: string) => trim(text, set, 'end')),
    'characters',
  ),
  'rtrim text': operation((text: string) => trim(text, ' ', 'end')),
  'repeat text int4': operation(repeat),
  'reverse text': inUnits(
    operation((text: string) => Array.from(text).reverse().join('')),
    'characters',
  ),
  'ascii text': inUnits(
    operation((text: string) => text.codePointAt(0) ?? 0),
    'bytes',
    'characters',
  ),
  'md5 text': inUnits(
    operation((text: string) => createHash('md5').update(text).digest('hex')),
    'bytes',
  ),
  'length bytea': operation(byteCount),
  'octet_length bytea': operation(byteCount),
  '|| bytea bytea': operation((a: string, b: string) => a + b),
  'md5 bytea': operation((hex: string) => createHash('md5').update(Buffer.from(hex, 'hex')).digest('hex')),
};

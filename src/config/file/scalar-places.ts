// Where a character of a YAML scalar's value stands in the file: the value is found again in what was written. Pure.
// https://yaml.org/spec/1.2.2/#chapter-7-flow-style-productions

/** `written`: from the first character of the scalar (a quote, `|`) on. Answers an offset in it. */
export function placeInScalar(written: string, value: string, at: number): number {
  const style = written[0];
  if (style === '|' || style === '>') return placeInBlock(written, value, at);
  if (style === '"' || style === "'") return 1 + aligned(written.slice(1), { value, at, style });
  return aligned(written, { value, at, style: 'plain' });
}

/** The first line says how it is written; the others are indented as the first of them that is not empty. */
function placeInBlock(written: string, value: string, at: number): number {
  const start = written.indexOf('\n') + 1;
  const body = written.slice(start);
  const indent = /^(?:[ \t]*\n)*( *)/.exec(body)![1]!.length;
  return start + aligned(body, { value, at, style: 'block', indent });
}

type Style = '"' | "'" | 'plain' | 'block';
type Aligning = {
  readonly value: string;
  readonly at: number;
  readonly style: Style;
  readonly indent?: number;
};

/** Both are walked together. What a line break is folded into is a space, or as many line breaks as there were empty lines. */
function aligned(written: string, { value, at, style, indent = 0 }: Aligning): number {
  let place = style === 'block' ? indent : 0;
  for (let i = 0; i < at && place < written.length; i++) {
    const character = value[i]!;
    // Of several breaks one is folded away.
    while (style === 'block' && written[place] === '\n' && !/\s/.test(character))
      place = afterBlockBreak(written, place, indent);
    if (style === "'" && written.startsWith("''", place)) place += 2;
    else if (style === '"' && written[place] === '\\') place = afterEscape(written, place);
    else if (written[place] === character && character !== '\n') place++;
    else if (style === 'block') place = afterBlockBreak(written, place, indent);
    else place = afterFold(written, place);
    if (style === '"' && /^\\\r?\n/.test(written.slice(place, place + 3)))
      place = afterFold(written, place + 1);
  }
  return place;
}

/** One line break, and the indentation of the next line. */
function afterBlockBreak(written: string, place: number, indent: number): number {
  const next = written.indexOf('\n', place) + 1;
  if (next === 0) return written.length;
  const spaces = /^ */.exec(written.slice(next, next + indent))![0].length;
  return next + spaces;
}

/** All white space around the break. */
const afterFold = (written: string, place: number): number =>
  place + (/^\s+/.exec(written.slice(place))?.[0].length ?? 1);

const ESCAPE_LENGTHS: Readonly<Record<string, number>> = { x: 4, u: 6, U: 10 };
const afterEscape = (written: string, place: number): number =>
  place + (ESCAPE_LENGTHS[written[place + 1] ?? ''] ?? 2);

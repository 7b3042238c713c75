// Reads a regular expression as Postgres reads it (an "advanced" one); what this engine has not, or means otherwise, is refused by name. Pure.
// https://github.com/postgres/postgres/blob/master/src/backend/regex/regcomp.c
import { parseBracket } from './brackets.ts';
import { escapeAt, type Escape } from './escapes.ts';
import { PatternFault, type Pattern } from './pattern.ts';

export type ParsedPattern = {
  readonly pattern: Pattern;
  /** It asks of characters what beyond ASCII each server says by itself. */
  readonly hasClasses: boolean;
};

/** Groups nest this deep at most: the parsers of both recurse. */
const MAX_DEPTH = 200;
/** Of a bound. */
const MAX_REPEAT = 255;

/** Throws PatternFault. */
export function parsePattern(text: string): ParsedPattern {
  return new PatternReader(text).read();
}

const isBetween = (character: string, from: string, to: string): boolean =>
  character >= from && character <= to;
const isDigit = (character: string | undefined): boolean =>
  character !== undefined && isBetween(character, '0', '9');

class PatternReader {
  readonly #text: string;
  /** One each, whatever its length in UTF-16. */
  readonly #characters: readonly string[];
  #at = 0;
  #hasClasses = false;

  constructor(text: string) {
    this.#text = text;
    this.#characters = Array.from(text);
  }

  read(): ParsedPattern {
    if (this.#text.startsWith('***')) throw this.#fault('*** at the start is not taken');
    if (/^\(\?[a-z]/i.test(this.#text))
      throw this.#fault('options inside of a pattern are not taken; ~* ignores case', 1);
    const pattern = this.#choice(0);
    if (this.#at < this.#characters.length) throw this.#fault('a ) without its (');
    return { pattern, hasClasses: this.#hasClasses };
  }

  #fault(what: string, at = this.#at): PatternFault {
    return new PatternFault(what, this.#text, at);
  }

  #choice(depth: number): Pattern {
    if (depth > MAX_DEPTH) throw this.#fault(`more than ${MAX_DEPTH} groups inside of each other`);
    const parts = [this.#sequence(depth)];
    while (this.#take('|')) parts.push(this.#sequence(depth));
    return parts.length === 1 ? parts[0]! : { kind: 'choice', parts };
  }

  #sequence(depth: number): Pattern {
    const parts: Pattern[] = [];
    for (;;) {
      const character = this.#characters[this.#at];
      if (character === undefined || character === '|' || character === ')') break;
      parts.push(this.#quantified(depth));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'sequence', parts };
  }

  /** Behind `^`, `$` and their kin Postgres takes no quantifier, nor behind another one. */
  #quantified(depth: number): Pattern {
    const atom = this.#atom(depth);
    const bounds = isAnchor(atom) ? undefined : this.#bounds();
    return bounds === undefined ? atom : { kind: 'repeat', part: atom, ...bounds };
  }

  #bounds(): { readonly min: number; readonly max: number } | undefined {
    const bounds = this.#take('*')
      ? { min: 0, max: Infinity }
      : this.#take('+')
        ? { min: 1, max: Infinity }
        : this.#take('?')
          ? { min: 0, max: 1 }
          : this.#braces();
    // Of a match that is there or not there it does not matter how much it takes.
    if (bounds !== undefined) this.#take('?');
    return bounds;
  }

  /** A brace without a digit behind it is one. */
  #braces(): { readonly min: number; readonly max: number } | undefined {
    if (this.#characters[this.#at] !== '{' || !isDigit(this.#characters[this.#at + 1])) return undefined;
    const start = this.#at++;
    const min = this.#number();
    const max = !this.#take(',') ? min : isDigit(this.#characters[this.#at]) ? this.#number() : Infinity;
    if (!this.#take('}') || min > max || min > MAX_REPEAT || (max > MAX_REPEAT && max !== Infinity))
      throw this.#fault(`a bound is {m}, {m,} or {m,n}, of at most ${MAX_REPEAT}`, start);
    return { min, max };
  }

  #number(): number {
    let value = 0;
    while (isDigit(this.#characters[this.#at]))
      value = Math.min(value * 10 + Number(this.#characters[this.#at++]), 1e6);
    return value;
  }

  #atom(depth: number): Pattern {
    const character = this.#characters[this.#at]!;
    switch (character) {
      case '(':
        return this.#group(depth);
      case '[':
        return this.#bracket();
      case '.':
        this.#at++;
        return { kind: 'one', ranges: [], negated: true };
      case '^':
      case '$':
        this.#at++;
        return { kind: character === '^' ? 'start' : 'end' };
      case '*':
      case '+':
      case '?':
        throw this.#fault(`nothing that could be repeated stands before ${character}`);
      case '\\':
        return this.#escaped();
      case '{':
        if (isDigit(this.#characters[this.#at + 1]))
          throw this.#fault('nothing that could be repeated stands before {');
        break;
      default:
    }
    this.#at++;
    return literal(character.codePointAt(0)!);
  }

  #group(depth: number): Pattern {
    const start = this.#at++;
    if (this.#take('?') && !this.#take(':')) throw this.#fault(groupName(this.#characters, this.#at), start);
    const inner = this.#choice(depth + 1);
    if (!this.#take(')')) throw this.#fault('a ( without its )', start);
    // What stands in it is one thing, to which a quantifier belongs.
    return { kind: 'sequence', parts: [inner] };
  }

  #bracket(): Pattern {
    const { set, end, hasClasses } = parseBracket(this.#characters, this.#at, (what, at) =>
      this.#fault(what, at),
    );
    this.#at = end;
    this.#hasClasses ||= hasClasses;
    return { kind: 'one', ...set };
  }

  #escaped(): Pattern {
    const found: Escape = escapeAt(this.#characters, this.#at, (what, at) => this.#fault(what, at));
    this.#at = found.end;
    switch (found.kind) {
      case 'character':
        return literal(found.codePoint);
      case 'class':
        this.#hasClasses = true;
        return { kind: 'one', ranges: found.ranges, negated: found.negated };
      case 'boundary':
      case 'no-boundary':
        this.#hasClasses = true;
        return { kind: found.kind };
      case 'start':
      case 'end':
        return { kind: found.kind };
      default:
        return found satisfies never;
    }
  }

  #take(character: string): boolean {
    if (this.#characters[this.#at] !== character) return false;
    this.#at++;
    return true;
  }
}

const literal = (codePoint: number): Pattern => ({
  kind: 'one',
  ranges: [[codePoint, codePoint]],
  negated: false,
});

const isAnchor = ({ kind }: Pattern): boolean =>
  kind === 'start' || kind === 'end' || kind === 'boundary' || kind === 'no-boundary';

function groupName(characters: readonly string[], at: number): string {
  const [first = '', second = ''] = characters.slice(at);
  if (first === '=' || first === '!') return `a condition on what follows, (?${first}, is not taken`;
  if (first === '<' && (second === '=' || second === '!'))
    return `a condition on what comes before, (?<${second}, is not taken`;
  return first === '#' ? 'a comment inside of a pattern is not taken' : '(? is followed by : only';
}

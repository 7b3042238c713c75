// Text on its way to a terminal: what a terminal would obey instead of showing is shown as an escape, and colours are only ours.
//
// Names and values of rows, and what servers answer, may hold anything: sequences that move the cursor, set a window's title or hide
// lines, characters that turn the direction of what follows. The escapes are those of JSON, so a JSON text that
// passes here is the same document afterwards.
import { randomInt } from 'node:crypto';
import { styleText } from 'node:util';

export type Style = Parameters<typeof styleText>[0];

/** Control characters (C0, DEL, C1), those that turn directions, and line ends that only some programs know. */
const OBEYED = String.raw`[\p{Cc}\p{Bidi_Control}\u2028\u2029]`;
/**
 * A colour of ours carries a number that nothing which comes from outside can know. Groups of four digits: as long as what is
 * recognised as a control sequence where widths are measured (`stripVTControlCharacters`).
 */
const KEY = Array.from({ length: 4 }, () => randomInt(1000, 10_000)).join(';');
const MARK = String.raw`\u001b\[${KEY};([?\d;]*[A-Za-z])`;
const ANY = new RegExp(`${MARK}|${OBEYED}`, 'gu');
const ANY_BUT_LAYOUT = new RegExp(String.raw`${MARK}|(?![\n\t])${OBEYED}`, 'gu');

/** The text in one line, with nothing left in it that a terminal obeys, but for colours given by `painted`. */
export const visible = (text: string): string =>
  text.replaceAll(ANY, (found: string, colour: string | undefined) =>
    colour === undefined ? escapeOf(found) : found,
  );

/** A text of ours that has line breaks: what follows the first line is indented, so that it cannot pass for a line of its own. */
export const visibleLines = (text: string, indent: string): string =>
  text.split(/\r?\n/).map(visible).join(`\n${indent}`);

/** The text in a colour, for an output made by `terminalOutput`. */
export function painted(style: Style, text: string): string {
  const [open, close] = styleText(style, '\n', { validateStream: false }).split('\n');
  return `${marked(open!)}${visible(text)}${marked(close!)}`;
}

/** A control sequence that we mean (`ESC [ …`), as one that passes the border. */
export const marked = (sequence: string): string => sequence.replaceAll('\u001b[', `\u001b[${KEY};`);

const SHORT: Readonly<Record<string, string>> = {
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
};

const escapeOf = (character: string): string =>
  SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

export type Output = {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  /** Of a terminal. */
  readonly columns?: number;
  readonly rows?: number;
  /** `EPIPE`: whoever read has gone (`tailrace tail … | head`). */
  on?(event: 'error', listener: (error: Error) => void): unknown;
};

/** The border: everything that is written for people goes through one of these. Line breaks and tabs pass. */
class TerminalOutput implements Output {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  get isTTY(): boolean {
    return this.#output.isTTY === true;
  }

  get columns(): number {
    return this.#output.columns ?? 0;
  }

  get rows(): number {
    return this.#output.rows ?? Infinity;
  }

  write(text: string): unknown {
    return this.#output.write(
      text.replaceAll(ANY_BUT_LAYOUT, (found: string, colour: string | undefined) =>
        colour === undefined ? escapeOf(found) : `\u001b[${colour}`,
      ),
    );
  }

  on(event: 'error', listener: (error: Error) => void): unknown {
    return this.#output.on?.(event, listener);
  }
}

/** Never twice: the colours would be escaped. */
export const terminalOutput = (output: Output): Output =>
  output instanceof TerminalOutput ? output : new TerminalOutput(output);

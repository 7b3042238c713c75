// A terminal that is drawn over again and again, by commands that watch.
import { marked } from '../telemetry/terminal-text.ts';
import { visibleLength, widthOf } from './layout.ts';
import type { CliPorts } from './ports.ts';

export type Screen = Disposable & { show(lines: readonly string[]): void };

/** Draws over what it drew before on a terminal that can; one after the other elsewhere. https://ecma-international.org/publications-and-standards/standards/ecma-48/ */
export function screenOn({ stdout, env }: CliPorts): Screen {
  if (stdout.isTTY !== true || env['TERM'] === 'dumb') {
    return {
      show: (lines) => void stdout.write(`${lines.join('\n')}\n\n`),
      [Symbol.dispose]: () => undefined,
    };
  }
  let isFirst = true;
  return {
    show: (lines) => {
      const begin = isFirst ? `${HIDE_CURSOR}${CLEAR}` : '';
      isFirst = false;
      const shown = fitting(lines, widthOf(stdout), stdout.rows ?? Infinity);
      stdout.write(`${begin}${HOME}${shown.map((line) => `${line}${CLEAR_LINE}\n`).join('')}${CLEAR_BELOW}`);
    },
    [Symbol.dispose]: () => {
      if (!isFirst) stdout.write(SHOW_CURSOR);
    },
  };
}

const HIDE_CURSOR = marked('\x1b[?25l');
const SHOW_CURSOR = marked('\x1b[?25h');
const HOME = marked('\x1b[H');
const CLEAR = marked('\x1b[2J');
const CLEAR_LINE = marked('\x1b[K');
const CLEAR_BELOW = marked('\x1b[J');

/** As many lines as the terminal has room for: one that scrolls cannot be drawn over. Two rows are for what is said of the rest, and the cursor. */
export function fitting(lines: readonly string[], columns: number, rows: number): readonly string[] {
  let used = 0;
  for (const [at, line] of lines.entries()) {
    used += Math.max(1, Math.ceil(visibleLength(line) / columns));
    if (used > rows - (at === lines.length - 1 ? 1 : 2)) {
      return [...lines.slice(0, at), `… ${lines.length - at} more lines`];
    }
  }
  return lines;
}

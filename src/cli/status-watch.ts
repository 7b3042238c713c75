// `tailrace status --watch`: the status again and again, over the restarts of its service, until interrupted.
import { setTimeout as sleep } from 'node:timers/promises';
import { wallTime } from '../core/clock.ts';
import { describeError, TailraceError } from '../core/errors.ts';
import { marked } from '../telemetry/terminal-text.ts';
import { visibleLength, widthOf, wrap } from './layout.ts';
import { abortWhenUnwanted, errorDocument, EXIT, painterFor, writeLine, type CliPorts } from './ports.ts';
import { NOT_TAILRACE, UNREACHABLE, type ServiceClient } from './service-client.ts';
import { isWhole, moreWithToken, readHealth } from './status-document.ts';
import { renderStatus } from './status-table.ts';

/** `interval`: seconds between two looks. */
export type WatchOptions = { readonly json?: boolean; readonly interval?: number };

const DEFAULT_INTERVAL_SECONDS = 2;

/** What a service answers with, or somebody in front of it, while it starts anew. */
const PASSING: ReadonlySet<string> = new Set([UNREACHABLE, NOT_TAILRACE]);

export async function watchStatus(
  service: ServiceClient,
  options: WatchOptions,
  ports: CliPorts,
): Promise<number> {
  using interruption = abortWhenUnwanted(ports);
  const { signal } = interruption;
  const seconds = options.interval ?? DEFAULT_INTERVAL_SECONDS;
  using screen = screenOn(ports);
  while (!signal.aborted) {
    const frame = await look(service, { ...options, signal }, ports);
    if (signal.aborted) break;
    if (options.json === true) for (const line of frame) writeLine(ports.stdout, line);
    else screen.show([...heading(seconds, ports), '', ...frame]);
    await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined);
  }
  return EXIT.ok;
}

/** One look as lines. Rejects with what does not pass by itself: a token that is refused. */
async function look(
  service: ServiceClient,
  { json, signal }: WatchOptions & { readonly signal: AbortSignal },
  ports: CliPorts,
): Promise<string[]> {
  try {
    const document = await readHealth(service, { signal });
    if (json === true) return [JSON.stringify(document)];
    return isWhole(document) ? renderStatus(document, ports) : [document.status, moreWithToken(service)];
  } catch (error) {
    if (signal.aborted) return [];
    if (!(error instanceof TailraceError) || !PASSING.has(error.code)) throw error;
    if (json === true) return [JSON.stringify(errorDocument(error))];
    const label = painterFor(ports.stdout, ports.env)('red', 'no status:');
    return wrap(`${label} ${describeError(error)}`, widthOf(ports.stdout), '  ');
  }
}

function heading(seconds: number, { stdout, env }: CliPorts): string[] {
  const paint = painterFor(stdout, env);
  const at = wallTime().toTimeString().slice(0, 8);
  return wrap(`${at}  every ${seconds} s, until Ctrl-C`, widthOf(stdout)).map((line) => paint('dim', line));
}

type Screen = Disposable & { show(lines: readonly string[]): void };

/** Draws over what it drew before on a terminal that can; one after the other elsewhere. https://ecma-international.org/publications-and-standards/standards/ecma-48/ */
function screenOn({ stdout, env }: CliPorts): Screen {
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

// One log record as one line for a person: time, level, message, then the other fields.
import { painted, visible } from './terminal-text.ts';

type Style = 'dim' | 'cyan' | 'yellow' | 'red';

const LEVEL_STYLES: Readonly<Record<string, Style>> = {
  debug: 'dim',
  info: 'cyan',
  warn: 'yellow',
  error: 'red',
  fatal: 'red',
};

export type LineStyle = {
  /** A short time, for somebody here and now. */
  readonly isTerminal: boolean;
  readonly hasColor: boolean;
};

/** Takes pino's JSON line; a line that is not one passes as it is. Colours are those of `painted`. */
export function formatLine(line: string, { isTerminal, hasColor }: LineStyle): string {
  const record = parseRecord(line);
  if (record === undefined) return line;
  const { level, time, msg, ...fields } = record;
  const label = String(level);
  // A terminal shows this to somebody here and now: local time without the date.
  const clock = isTerminal ? new Date(String(time)).toTimeString().slice(0, 8) : String(time);
  const paint = hasColor ? painted : (_style: Style, text: string): string => text;
  const rest = Object.entries(fields).map(
    ([name, value]) => `${paint('dim', `${visible(name)}=`)}${show(value)}`,
  );
  return `${[
    paint('dim', clock),
    paint(LEVEL_STYLES[label] ?? 'cyan', label.toUpperCase().padEnd(5)),
    show(msg ?? ''),
    ...rest,
  ].join(' ')}\n`;
}

function show(value: unknown): string {
  if (isErrorRecord(value)) {
    return singleLine(typeof value.hint === 'string' ? `${value.message} — ${value.hint}` : value.message);
  }
  return singleLine(typeof value === 'string' ? value : JSON.stringify(value));
}

const singleLine = (text: string): string => visible(text.replaceAll(/\s*\n\s*/g, ' '));

const isErrorRecord = (value: unknown): value is { message: string; hint?: unknown } =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as { message?: unknown }).message === 'string' &&
  'type' in value;

function parseRecord(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

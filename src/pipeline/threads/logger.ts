// A worker thread's logger: its lines travel to the main thread, which alone writes.
import { pino, type Logger } from 'pino';
import { describeForLog } from '../../telemetry/logger.ts';

/** What a worker posts for each line. */
export type LogLine = { readonly type: 'log'; readonly line: string };

/** A logger whose lines are posted instead of written. */
export function createThreadLogger(level: string, post: (line: LogLine) => void): Logger {
  return pino(
    { level, base: null, timestamp: false, serializers: { err: describeForLog } },
    { write: (line: string) => post({ type: 'log', line }) },
  );
}

const LEVELS: Readonly<Record<number, 'debug' | 'info' | 'warn' | 'error' | 'fatal'>> = {
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** Writes a worker's line with the main thread's logger (and its redaction). */
export function relayLogLine(logger: Logger, { line }: LogLine): void {
  const { level, msg, ...fields } = JSON.parse(line) as { level: number; msg?: string };
  logger[LEVELS[level] ?? 'info'](fields, msg);
}

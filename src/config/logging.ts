// How much is logged and in which form: what the file writes, else Sequin's variables.
import type { LogFormat, LogLevel } from '../telemetry/logger.ts';
import type { Variables } from './file/variables.ts';

/** Sequin's levels, and ours where they are called otherwise. */
const LEVELS: Readonly<Record<string, LogLevel>> = {
  debug: 'debug',
  info: 'info',
  notice: 'info',
  warning: 'warn',
  warn: 'warn',
  error: 'error',
};

/** Sequin writes for people unless it is told otherwise; here that is for terminals. */
const FORMATS: Readonly<Record<string, LogFormat>> = {
  console: 'console',
  datadog_json: 'datadog_json',
  json: 'json',
};

export function logLevelOf(written: LogLevel | undefined, env: Variables, notes: string[]): LogLevel {
  return written ?? wordOf('LOG_LEVEL', LEVELS, env, notes) ?? 'info';
}

export function logFormatOf(written: LogFormat | undefined, env: Variables, notes: string[]): LogFormat {
  return written ?? wordOf('SEQUIN_LOG_FORMAT', FORMATS, env, notes) ?? 'auto';
}

/** Other programs have such variables too, so a word that is not known is no reason not to start. */
function wordOf<Word>(
  name: string,
  words: Readonly<Record<string, Word>>,
  env: Variables,
  notes: string[],
): Word | undefined {
  const text = env[name];
  if (text === undefined || text === '') return undefined;
  const key = text.toLowerCase();
  if (Object.hasOwn(words, key)) return words[key];
  notes.push(`${name} is passed over: "${text}" is none of ${Object.keys(words).join(', ')}`);
  return undefined;
}

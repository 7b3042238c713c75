// What the definitions of commands share: how they are added, and the options that several of them have.
import { InvalidArgumentError, type Command } from 'commander';
import type { CliPorts } from './ports.ts';

/** A handler of a command; resolves with the exit code. Each is imported when it runs: `--help` loads no SDK. */
export type Ending = Promise<number>;

export type AddCommands = (program: Command, ports: CliPorts, end: (ending: Ending) => Promise<void>) => void;

export const CONFIG_OPTION: readonly [string, string] = [
  '-c, --config <file>',
  'configuration file (default: CONFIG_FILE_PATH, CONFIG_FILE_YAML, ./tailrace.yaml, or pg2sqs settings)',
];

/** Options of a command that talks to a running service. */
export const withServiceOptions = (command: Command): Command =>
  command
    .option(...CONFIG_OPTION)
    .option('--url <url>', "the service's address (default: from the configuration)", parseHttpUrl)
    .option('--json', 'machine-readable');

function parseHttpUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new InvalidArgumentError('Expected http://host:port.');
  }
  return url;
}

export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 0.1 && seconds <= 3600))
    throw new InvalidArgumentError('Expected seconds from 0.1 to 3600.');
  return seconds;
}

export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Expected a whole number above 0.');
  return Number(text);
}

/** One more of several, as commander collects them. */
export const parseCounts = (text: string, before: number[] | undefined): number[] => [
  ...(before ?? []),
  parseCount(text),
];

/** An option that may be given again. */
export const collected = (text: string, before: string[] | undefined): string[] => [...(before ?? []), text];

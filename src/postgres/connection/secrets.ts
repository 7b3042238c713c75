// The password of one connection: asked for where the settings say it is, at the moment the server wants it. None is kept, so
// that one which was changed on disk, or a token that has run out, needs no restart; none is ever logged.
import { execFile } from 'node:child_process';
import { shortageBehind } from '../../core/descriptors.ts';
import { TailraceError } from '../../core/errors.ts';
import type { DatabaseSettings, PasswordSource } from '../settings.ts';
import { mintIamToken } from './iam-token.ts';
import { passwordInFile } from './password-file.ts';
import { readSecretFile } from './secret-files.ts';
import type { Target } from './target.ts';

/** Invariant 8: of what a command prints. A token of AWS, Azure or Google has a few kilobytes. */
const MAX_OUTPUT_BYTES = 64 * 1024;

export type Password = {
  readonly password: string;
  /** Why another one was not taken: of use to whoever is refused. */
  readonly passedOver?: string;
};

type Seeker = Pick<DatabaseSettings, 'username' | 'database'>;

/** Rejects with TailraceError, which names the key and never what was found. */
export async function passwordFor(source: PasswordSource, seeker: Seeker, target: Target): Promise<Password> {
  if (typeof source === 'string') return { password: source };
  switch (source.from) {
    case 'file': {
      const { text } = await readSecretFile(source.file, { code: 'PASSWORD_FILE', key: 'password_file' });
      return { password: oneLine(text, { code: 'PASSWORD_FILE', what: `password_file: ${source.file}` }) };
    }
    case 'command':
      return { password: await passwordOfCommand(source.argv, source.timeoutMs) };
    case 'rds_iam':
      return { password: await mintIamToken(source, seeker.username, target) };
    case 'pgpass':
      return passwordOfPgpass(source, seeker, target);
    default:
      return source satisfies never;
  }
}

/** The line break at the end that editors, `echo` and commands write is no part of a password. */
function oneLine(text: string, { code, what }: { readonly code: string; readonly what: string }): string {
  const password = text.replace(/(?:\r?\n)+$/, '');
  const isBroken = /[\r\n\0]/.test(password);
  if (password !== '' && !isBroken) return password;
  throw new TailraceError(`${what} ${isBroken ? 'has more than one line' : 'is empty'}`, {
    code,
    kind: 'fatal',
    hint: 'it has to give the password and nothing else, on one line',
  });
}

/** Without a shell. What it prints, on either stream, is nobody else's to read. */
async function passwordOfCommand(argv: readonly string[], timeoutMs: number): Promise<string> {
  const [command = '', ...args] = argv;
  const printed = await new Promise<string>((resolve, reject) => {
    const limits = { timeout: timeoutMs, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' } as const;
    const child = execFile(command, args, { ...limits, encoding: 'utf8' }, (error, stdout) =>
      error === null ? resolve(stdout) : reject(commandFault(error, command, timeoutMs)),
    );
    child.stdin?.end();
  });
  return oneLine(printed, { code: 'PASSWORD_COMMAND', what: `password_command: what ${command} prints` });
}

type ExecError = Error & { code?: unknown; signal?: unknown; killed?: boolean };

/** Node's message repeats the arguments and what was printed: it goes nowhere, as a cause neither. */
function commandFault(error: ExecError, command: string, timeoutMs: number): Error {
  if (shortageBehind(error) !== undefined) return error;
  const { code, signal, killed } = error;
  const fault = (what: string, kind: 'retryable' | 'fatal', hint: string): TailraceError =>
    new TailraceError(`password_command: ${command} ${what}`, { code: 'PASSWORD_COMMAND', kind, hint });
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') {
    return fault(`prints more than ${MAX_OUTPUT_BYTES} bytes`, 'fatal', 'it has to print the password only');
  }
  if (killed === true) {
    return fault(
      `did not end within ${timeoutMs} ms`,
      'retryable',
      'make it faster, or give it longer: password_command_timeout',
    );
  }
  if (typeof code === 'string') {
    return fault(`cannot be run (${code})`, 'fatal', 'name a program that is there, with its whole path');
  }
  const end = typeof code === 'number' ? `ended with code ${code}` : `was ended by ${String(signal)}`;
  return fault(end, 'retryable', 'run it by hand, as the user that Tailrace runs as');
}

/** As libpq, a file that is not there, or that others may read, is passed over. */
async function passwordOfPgpass(
  { file, otherwise }: Extract<PasswordSource, { from: 'pgpass' }>,
  seeker: Seeker,
  target: Target,
): Promise<Password> {
  let passedOver: string;
  try {
    const { text, openTo } = await readSecretFile(file, { code: 'PASSWORD_FILE', key: 'password file' });
    if (openTo === 0) {
      const found = passwordInFile(text, { ...seeker, ...target });
      if (found !== undefined) return { password: found };
      passedOver = `the password file ${file} has no line for it`;
    } else {
      passedOver = `the password file ${file} is passed over, because others may read it: chmod 600 ${file}`;
    }
  } catch (error) {
    if (!(error instanceof TailraceError)) throw error;
    return { password: otherwise };
  }
  return { password: otherwise, passedOver };
}

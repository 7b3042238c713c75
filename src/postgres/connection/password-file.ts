// The password file of libpq's (~/.pgpass, PGPASSFILE): which of its lines fits a connection.
// https://www.postgresql.org/docs/current/libpq-pgpass.html
import type { Target } from './target.ts';

export type PasswordSeeker = Target & { readonly database: string; readonly username: string };

/** Where a server's socket is by default, as built upstream and by Debian: in the file that is `localhost`. */
const DEFAULT_SOCKETS: readonly string[] = ['/tmp', '/var/run/postgresql', '/run/postgresql'];

/** The password of the first line that fits; undefined: none does. */
export function passwordInFile(text: string, seeker: PasswordSeeker): string | undefined {
  const host = DEFAULT_SOCKETS.includes(seeker.host) ? 'localhost' : seeker.host;
  const wanted = [host, String(seeker.port), seeker.database, seeker.username];
  for (const line of text.split(/\r?\n/)) {
    if (line === '' || line.startsWith('#')) continue;
    const fields = fieldsOf(line);
    if (fields.length < 5) continue;
    if (wanted.every((value, index) => fields[index]!.raw === '*' || fields[index]!.value === value)) {
      // As libpq, which leaves out such a line: an empty password is none.
      const password = fields[4]!.value;
      return password === '' ? undefined : password;
    }
  }
  return undefined;
}

type Field = { readonly raw: string; readonly value: string };

/** Between colons; a backslash takes the next character as it is. */
const fieldsOf = (line: string): Field[] =>
  (line.match(/(?:^|:)(?:\\.|[^:\\]|\\$)*/g) ?? []).map((part) => {
    const raw = part.startsWith(':') ? part.slice(1) : part;
    return { raw, value: raw.replaceAll(/\\(.)/g, '$1') };
  });

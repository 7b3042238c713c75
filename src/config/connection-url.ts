// Reads a Postgres connection URL, with several hosts as libpq allows.
// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS

const URL_SHAPE = /^postgres(?:ql)?:\/\/(?:([^:@/]*)(?::([^/]*))?@)?([^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/;

export type ConnectionUrl = {
  readonly hosts: readonly string[];
  readonly database?: string;
  readonly username?: string;
  readonly password?: string;
  readonly sslmode?: string;
  readonly sslrootcert?: string;
  readonly sslcert?: string;
  readonly sslkey?: string;
  /** Parameters that mean nothing here. */
  readonly unknown: readonly string[];
};

const PARAMETERS: readonly string[] = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey'];

/** Undefined when the text is no such URL. */
export function parseConnectionUrl(text: string): ConnectionUrl | undefined {
  const match = URL_SHAPE.exec(text);
  if (match === null) return undefined;
  const [, username, password, hosts, database, query] = match;
  const parameters = new URLSearchParams(query);
  const parts: [string, string | null | undefined][] = [
    ['username', username],
    ['password', password],
    ['database', database],
  ];
  const given: Record<string, string> = {};
  try {
    for (const [key, value] of parts) if (value) given[key] = decodeURIComponent(value);
  } catch {
    return undefined; // a stray "%"
  }
  for (const key of PARAMETERS) {
    const value = parameters.get(key);
    if (value !== null) given[key] = value;
  }
  const unknown = [...parameters.keys()].filter((key) => !PARAMETERS.includes(key));
  return { ...given, hosts: hosts!.split(','), unknown };
}

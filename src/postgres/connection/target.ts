// One server of a database's host list, and what is said of a connection to it that failed.
import type { ErrorKind } from '../../core/errors.ts';

export type Target = {
  readonly host: string;
  readonly port: number;
  /** What the host's name meant when it was looked up; undefined: it is an address itself, or a socket's path. */
  readonly address?: string;
  /** The name means others, too. */
  readonly isOneOfSeveral?: boolean;
};

export function formatTarget({ host, port, address, isOneOfSeveral }: Target): string {
  const named = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return isOneOfSeveral === true ? `${named} (${address})` : named;
}

export type Fault = {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint: string;
};

/** What a server answered: SQLSTATE, words, and the function of it that refused. */
export type Refusal = { readonly code: string; readonly text: string; readonly routine: string };

// One server of a database's host list, and what is said of a connection to it that failed.
import type { ErrorKind } from '../../core/errors.ts';

export type Target = { readonly host: string; readonly port: number };

export const formatTarget = ({ host, port }: Target): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

export type Fault = {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint: string;
};

/** What a server answered: SQLSTATE, words, and the function of it that refused. */
export type Refusal = { readonly code: string; readonly text: string; readonly routine: string };

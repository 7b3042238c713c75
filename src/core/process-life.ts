// Which process of ours a walsender serves: written into its application name, so that one that is left over can be told from
// somebody else's, and a copy of the data directory from its original. Pure.

/** `instance` is of the data directory, `life` counts the processes that had it, `nonce` tells two apart that count alike. */
export type ProcessLife = {
  /** Letters and digits. */
  readonly instance: string;
  readonly life: number;
  readonly nonce: string;
};

/** `connection` counts those that the process has made. */
export type Walsender = ProcessLife & { readonly connection: number };

/** https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-APPLICATION-NAME (63 bytes, ASCII) */
const MAX_NAME_LENGTH = 63;

const NAME = /^tailrace#([a-z0-9]+)\.(\d+)\.([a-z0-9]+)\.(\d+)(?::|$)/;

/** What says who it is comes first: a long name of a database is cut. */
export const walsenderName = (walsender: Walsender, database: string): string =>
  `tailrace#${walsenderToken(walsender)}:${database.replaceAll(/[^ -~]/g, '?')}`.slice(0, MAX_NAME_LENGTH);

/** Of a connection alone. */
export const walsenderToken = ({ instance, life, nonce, connection }: Walsender): string =>
  `${instance}.${life}.${nonce}.${connection}`;

/** Undefined: it is none of Tailrace's, or of a version that did not say. */
export function parseWalsenderName(name: string): Walsender | undefined {
  const [, instance, life, nonce, connection] = NAME.exec(name) ?? [];
  if (instance === undefined || nonce === undefined) return undefined;
  return { instance, life: Number(life), nonce, connection: Number(connection) };
}

/**
 * `stale`: of a process that had our data directory before us, or an earlier connection of ours. `newer`: of a process that had the
 * directory after us, so that ours is a copy of it, or it of ours. `foreign`: anybody else's, or not to be told.
 */
export type Holder = 'stale' | 'newer' | 'foreign';

export function judgeHolder(name: string, own: Walsender): Holder {
  const holder = parseWalsenderName(name);
  if (holder === undefined || holder.instance !== own.instance) return 'foreign';
  if (holder.life !== own.life) return holder.life < own.life ? 'stale' : 'newer';
  // Two that count alike are copies of each other, and neither is the older one.
  return holder.nonce === own.nonce && holder.connection < own.connection ? 'stale' : 'foreign';
}

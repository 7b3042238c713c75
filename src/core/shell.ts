// Commands that are printed for a person to copy.

/** A path as a shell takes it, whatever is in its name. */
export const quoted = (path: string): string =>
  /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;

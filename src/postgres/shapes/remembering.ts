// Which servers write rows with a shape that their types had before: those whose output goes on with what it remembers of a type.

/** Minor versions that mend it, by major version: "Fix data loss in logical replication" of May 2025. https://www.postgresql.org/docs/release/17.5/ */
const MENDED: readonly (readonly [major: number, version: number])[] = [
  [13, 130_021],
  [14, 140_018],
  [15, 150_013],
  [16, 160_009],
  [17, 170_005],
];

/**
 * Does a server not tell its output that a type was altered, while it works on a transaction that was open meanwhile? It goes on
 * with the older shape then, in later transactions too, until it is connected to anew (measured with 14.16 and 16.8).
 */
export const remembersShapes = (serverVersion: number): boolean =>
  MENDED.some(([major, version]) => Math.floor(serverVersion / 10_000) === major && serverVersion < version);

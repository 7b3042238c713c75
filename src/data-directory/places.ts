// Where things lie in the data directory: one log a database, one ledger a sink.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** At the top of the data directory: which one it is, and how many processes had it. */
export const INSTANCE_FILE = 'instance';

/** Of the settings: the absolute path of the data directory. */
type DataDir = { readonly dataDir: string };

export const logDirectory = ({ dataDir }: DataDir, database: string): string =>
  join(dataDir, 'log', fileName(database));
export const ledgerDirectory = ({ dataDir }: DataDir, database: string): string =>
  join(dataDir, 'ledger', fileName(database));
export const ledgerFile = (dir: DataDir, { database, sink }: { database: string; sink: string }): string =>
  join(ledgerDirectory(dir, database), `${fileName(sink)}.ledger`);

/** Has any sink begun here? */
export function hasLedgers(dataDir: string): boolean {
  try {
    const names = readdirSync(join(dataDir, 'ledger'), { recursive: true, encoding: 'utf8' });
    return names.some((name) => name.endsWith('.ledger'));
  } catch {
    return false;
  }
}

/** A name from the configuration as a file name: other characters than these are written as bytes. */
const fileName = (name: string): string =>
  name.replaceAll(/[^A-Za-z0-9_-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  );

// Does what is written into a directory outlive the process, or the container?
import { statfsSync } from 'node:fs';

/** https://man7.org/linux/man-pages/man2/statfs.2.html: file systems that go with the container or the machine's memory. */
const PASSING_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0x794c7630, // overlayfs
  0x01021994, // tmpfs
]);

/** Architecture §5: `auto` flushes as `durable` only where this holds. */
export const directoryOutlivesProcess = (directory: string): boolean =>
  !PASSING_FILE_SYSTEMS.has(statfsSync(directory).type);

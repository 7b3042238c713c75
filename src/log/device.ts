// The two calls that a disk may refuse: a port, so that tests can have full and failing disks.
import { fdatasync, writevSync } from 'node:fs';
import { promisify } from 'node:util';

export type LogDevice = {
  /** Returns the bytes written, which may be fewer than given. */
  write(fd: number, buffers: readonly Buffer[], position: number): number;
  sync(fd: number): Promise<void>;
};

export const FILE_DEVICE: LogDevice = {
  write: writevSync,
  sync: promisify(fdatasync),
};

/** Writes all of `buffers` at `position`; returns how many bytes that is. */
export function writeFully(
  device: LogDevice,
  fd: number,
  buffers: readonly Buffer[],
  position: number,
): number {
  const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
  let written = device.write(fd, buffers, position);
  while (written < total) {
    const rest = Buffer.concat(buffers).subarray(written);
    written += device.write(fd, [rest], position + written);
  }
  return total;
}

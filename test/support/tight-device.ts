// A disk that takes so many bytes more and then has no space left, as a full file system answers.
import { FILE_DEVICE } from '../../src/log/device.ts';

/** `room`: bytes that it still takes; what it takes of a write that does not fit is on it. */
export function tightDevice() {
  const disk = {
    room: Infinity,
    device: {
      ...FILE_DEVICE,
      // As a real disk does: takes what fits, refuses the rest.
      write: (fd: number, buffers: readonly Buffer[], position: number) => {
        const bytes = Buffer.concat(buffers).subarray(0, disk.room);
        if (bytes.length === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        disk.room -= bytes.length;
        return FILE_DEVICE.write(fd, [bytes], position);
      },
    },
  };
  return disk;
}

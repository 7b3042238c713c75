// What the kernel says of a process: CPU, memory, bytes to disk. Linux only.
import { readFileSync } from 'node:fs';

/** USER_HZ, which is 100 on every Linux that Node runs on. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
const TICKS_PER_SECOND = 100;
const UTIME = 11;
const STIME = 12;

/** User and system time of all its threads, microseconds (in steps of 10,000); undefined when it is gone. */
export function cpuUsOf(pid: number): number | undefined {
  const text = readProc(pid, 'stat');
  if (text === undefined) return undefined;
  // The command's name may hold spaces and brackets: fields are counted from behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[UTIME]) + Number(fields[STIME])) / TICKS_PER_SECOND) * 1e6;
}

/** The most memory that was resident so far, MiB. */
export const peakRssMiBOf = (pid: number): number =>
  Number(/VmHWM:\s+(\d+) kB/.exec(readProc(pid, 'status') ?? '')?.[1] ?? Number.NaN) / 1024;

/** What is resident now, MiB; and of it its share, where other processes have the same pages. */
export function residentMiBOf(pid: number): { readonly rssMiB: number; readonly pssMiB: number } {
  const text = readProc(pid, 'smaps_rollup') ?? '';
  const of = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN) / 1024;
  return { rssMiB: of('Rss'), pssMiB: of('Pss') };
}

/** Bytes that it caused to be sent to the storage layer. https://man7.org/linux/man-pages/man5/proc_pid_io.5.html */
export const diskBytesWrittenBy = (pid: number): number =>
  Number(/^write_bytes: (\d+)/m.exec(readProc(pid, 'io') ?? '')?.[1] ?? Number.NaN);

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined;
  }
}

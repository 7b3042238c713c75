// Ends a Postgres whose owner was killed, and removes what the owner meant to remove: a shell that waits for the owner's end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Its standard input ends when the process that holds the other end does, however that happens. Who has the number in
 * postmaster.pid now must be a Postgres. An `initdb` that still runs may make files again, so it is removed until it stays away.
 */
const SCRIPT = `
trap '' INT TERM HUP
read -r _
pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null)
name=
[ -n "$pid" ] && name=$(cat "/proc/$pid/comm" 2>/dev/null || ps -o comm= -p "$pid" 2>/dev/null)
case "$name" in *postgres*)
  kill "-$2" "$pid"
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
esac
tries=0
while [ -n "$3" ] && [ -e "$3" ] && [ $tries -lt 20 ]; do rm -rf "$3"; sleep 0.5; tries=$((tries + 1)); done
`;

export type Guard = { dismiss(): Promise<void> };

/**
 * Guards the cluster in `cluster`, and `removes` (undefined: nothing) with it, until it is dismissed. What is removed needs
 * no server that ends in good order; what is kept gets one. Not on Windows, which has no such shell.
 */
export function startGuard(cluster: string, removes: string | undefined): Guard {
  if (process.platform === 'win32') return { dismiss: () => Promise.resolve() };
  const signal = removes === undefined ? 'INT' : 'QUIT';
  // A group of its own: what interrupts its owner does not reach it. Nowhere inside of what it removes.
  const shell = spawn('/bin/sh', ['-c', SCRIPT, 'tailrace-guard', cluster, signal, removes ?? ''], {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Without a shell nothing is guarded, and all else works.
  const ended = once(shell, 'exit').catch(() => undefined);
  shell.stdin.on('error', () => undefined);
  shell.unref();
  return {
    dismiss: async () => {
      shell.ref();
      shell.kill('SIGKILL');
      if (shell.pid !== undefined) await ended;
    },
  };
}

/** Is there a process of this number, whoever's it is? */
export function isProcess(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

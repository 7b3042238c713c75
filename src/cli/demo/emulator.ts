// Starts the SQS emulator in a process of its own, so that its work does not delay the service's.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { TailraceError } from '../../core/errors.ts';

export type Emulator = { readonly url: string; stop(): Promise<void> };

export async function startEmulator(): Promise<Emulator> {
  requireFauxqs();
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const child = fork(new URL(`./emulator-process.${extension}`, import.meta.url), {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let printed = '';
  child.stderr?.on('data', (chunk: Buffer) => (printed = (printed + chunk.toString()).slice(-4000)));
  const exited = once(child, 'exit');
  const message = await Promise.race([
    once(child, 'message').then(([message]) => message as { port: number }),
    exited.then(() => undefined),
  ]);
  if (message === undefined) throw new Error(`the SQS emulator ended: ${printed.trim()}`);
  return {
    url: `http://127.0.0.1:${message.port}`,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The emulator is for the demo only, so an installed package may lack it. */
function requireFauxqs(): void {
  try {
    import.meta.resolve('fauxqs');
  } catch (cause) {
    throw new TailraceError('the package fauxqs with the SQS emulator is not installed', {
      code: 'EMULATOR_MISSING',
      kind: 'fatal',
      hint: 'it comes with a checkout of Tailrace only: "npm ci && npm run demo" there, with development and optional dependencies',
      cause,
    });
  }
}

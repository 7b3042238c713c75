// What a command needs from the process around it, so that a test can be that process.
import { steadyMs } from '../core/clock.ts';
import { TailraceError } from '../core/errors.ts';
import type { StartService } from '../pipeline/service/service.ts';
import { wantsColor } from '../telemetry/color.ts';
import { redactUrlPasswords } from '../telemetry/redaction.ts';
import { painted, type Output, type Style } from '../telemetry/terminal-text.ts';

export type { Output } from '../telemetry/terminal-text.ts';

export type CliPorts = {
  readonly startService: StartService;
  /** Begins to load what `startService` needs. */
  readonly prepareService?: () => void;
  readonly version: string;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Calls `listener` whenever somebody asks the process to end; the answer stops that. */
  readonly onInterrupt: (listener: () => void) => () => void;
  /** Ends the process at once. */
  readonly exit: (code: number) => void;
};

/** Exit codes: fine; it ran and the answer is no; bad usage or configuration. */
export const EXIT = { ok: 0, no: 1, usage: 2 } as const;

/** Code of an error in what was written on the command line. */
export const USAGE = 'USAGE';
export const usageError = (message: string, hint: string): TailraceError =>
  new TailraceError(message, { code: USAGE, kind: 'fatal', hint });

/** One line: a line break in what is written is shown, it makes no line. */
export const writeLine = (output: Output, text: string): unknown =>
  output.write(`${text.includes('\n') ? text.replaceAll('\n', String.raw`\n`) : text}\n`);

/** A document for machines; with `indent`, of several lines. */
export const writeJson = (output: Output, value: unknown, indent?: number): unknown =>
  output.write(`${JSON.stringify(value, undefined, indent)}\n`);

/** What went wrong, as a document. */
export const errorDocument = ({ message, code, hint }: TailraceError) => ({
  ok: false,
  error: redactUrlPasswords(message),
  code,
  ...(hint !== undefined && { hint }),
});

export type Painter = (style: Style, text: string) => string;

/** Colours text where that is wanted, and leaves it alone elsewhere. */
export const painterFor = (output: Output, env: NodeJS.ProcessEnv): Painter =>
  wantsColor(output, env) ? painted : (_style, text) => text;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function onProcessInterrupt(listener: () => void): () => void {
  for (const signal of SIGNALS) process.on(signal, listener);
  return () => {
    for (const signal of SIGNALS) process.off(signal, listener);
  };
}

/** npm passes Ctrl-C on to a process that the terminal has told already: within this time it is one interrupt. */
const SAME_INTERRUPT_MS = 500;

/**
 * A signal that aborts at the first interrupt; the second ends the process at once, for whoever cannot wait.
 * `dispose` when the command is done. `atOnce`: what there is to say then.
 */
export function abortOnInterrupt(
  ports: Pick<CliPorts, 'onInterrupt' | 'exit'>,
  atOnce: () => void = () => undefined,
): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController();
  let firstMs = 0;
  const stopListening = ports.onInterrupt(() => {
    const nowMs = steadyMs();
    if (!controller.signal.aborted) {
      firstMs = nowMs;
      controller.abort();
    } else if (nowMs - firstMs > SAME_INTERRUPT_MS) {
      atOnce();
      ports.exit(EXIT.no);
    }
  });
  return { signal: controller.signal, [Symbol.dispose]: stopListening };
}

/** The same for a command that writes until then: that nobody reads any more (`| head`) is as an interrupt. */
export function abortWhenUnwanted(
  ports: Pick<CliPorts, 'onInterrupt' | 'exit' | 'stdout'>,
): { readonly signal: AbortSignal } & Disposable {
  const interruption = abortOnInterrupt(ports);
  const closed = new AbortController();
  ports.stdout.on?.('error', () => closed.abort());
  return { ...interruption, signal: AbortSignal.any([interruption.signal, closed.signal]) };
}

// `tailrace run`: the service, until it is asked to stop or cannot go on.
import { aborted } from '../core/abort.ts';
import { createLogger } from '../telemetry/logger.ts';
import { loadConfiguration } from './configuration.ts';
import { abortOnInterrupt, EXIT, type CliPorts } from './ports.ts';

export type RunOptions = { readonly config?: string; readonly dataDir?: string };

/** What closing may take on top of the time that deliveries in flight are given. */
export const CLOSING_GRACE_MS = 5_000;

export async function run(options: RunOptions, ports: CliPorts): Promise<number> {
  const { settings, notes, source, isPg2sqs } = await loadConfiguration(options, ports);
  const { logLevel: level, logFormat: format } = settings;
  const logger = createLogger({ level, format, destination: ports.stdout });
  logger.info({ version: ports.version, source, dataDir: settings.dataDir }, 'tailrace starts');
  for (const note of notes) logger.warn(note);

  // A second interrupt ends the process at once: what was not recorded is sent again at the next start.
  using interruption = abortOnInterrupt(ports);
  const { signal } = interruption;
  let guard: NodeJS.Timeout | undefined;
  signal.addEventListener('abort', () => {
    logger.info('stopping: deliveries in flight are settled first; a second signal ends at once');
    guard = setTimeout(() => {
      logger.error('not stopped in time; ending without confirming what is in flight');
      ports.exit(EXIT.no);
    }, settings.shutdownTimeoutMs + CLOSING_GRACE_MS);
  });
  try {
    const service = await ports.startService(settings, {
      version: ports.version,
      logger,
      pg2sqsNames: isPg2sqs,
    });
    const stopped = aborted(signal).then(() => service.stop());
    const { exitCode } = await Promise.race([service.ended, stopped.then(() => service.ended)]);
    logger.info({ exitCode }, 'tailrace ended');
    return exitCode;
  } finally {
    clearTimeout(guard);
  }
}

// `tailrace run`: the service, until it is asked to stop or cannot go on.
import { aborted } from '../core/abort.ts';
import { wallMs } from '../core/clock.ts';
import type { RunningService } from '../pipeline/service/service.ts';
import { createLogger } from '../telemetry/logger.ts';
import { loadConfigurationApart } from './configuration.ts';
import { abortOnInterrupt, EXIT, type CliPorts } from './ports.ts';
import { stoppingLine, undeliveredLines } from './stopping.ts';

export type RunOptions = { readonly config?: string; readonly dataDir?: string };

/** What closing may take on top of the time that deliveries in flight are given. */
export const CLOSING_GRACE_MS = 5_000;

export async function run(options: RunOptions, ports: CliPorts): Promise<number> {
  const loading = loadConfigurationApart(options, ports);
  // Meanwhile this thread has time.
  ports.prepareService?.();
  const { settings, notes, source, isPg2sqs } = await loading;
  const { logLevel: level, logFormat: format } = settings;
  const logger = createLogger({ level, format, destination: ports.stdout, env: ports.env });
  logger.info({ version: ports.version, source, dataDir: settings.dataDir }, 'tailrace starts');
  for (const note of notes) logger.warn(note);

  using interruption = abortOnInterrupt(ports, () =>
    logger.error(
      'ended at once: what was in flight and has no answer on record is sent again at the next start',
    ),
  );
  const { signal } = interruption;
  let service: RunningService | undefined;
  let guard: NodeJS.Timeout | undefined;
  signal.addEventListener('abort', () => {
    const limitMs = settings.shutdownTimeoutMs + CLOSING_GRACE_MS;
    logger.info(stoppingLine(service?.status(), new Date(wallMs() + limitMs)));
    guard = setTimeout(() => {
      logger.error('not stopped in time; ending without confirming what is in flight');
      ports.exit(EXIT.no);
    }, limitMs);
  });
  try {
    service = await ports.startService(settings, {
      version: ports.version,
      logger,
      pg2sqsNames: isPg2sqs,
      signal,
    });
    const running = service;
    const stopped = aborted(signal).then(() => running.stop());
    const { exitCode } = await Promise.race([running.ended, stopped.then(() => running.ended)]);
    for (const line of undeliveredLines(running.status())) logger.warn(line);
    logger.info({ exitCode }, 'tailrace ended');
    return exitCode;
  } finally {
    clearTimeout(guard);
  }
}

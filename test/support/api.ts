// The HTTP listeners on ports of their own, over what a test gives them; closed at its end.
import { onTestFinished } from 'vitest';
import { startHttp, type HttpOptions, type HttpServers } from '../../src/api/server.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { testControl } from './control.ts';
import { serviceStatus } from './status.ts';

export type TestApiOptions = Partial<Omit<HttpOptions, 'settings'>> & {
  readonly host?: string;
  readonly tokens?: readonly string[];
  /** Does the listener of the metrics run, too? */
  readonly hasMetrics?: boolean;
};

export async function startTestApi({
  host = '127.0.0.1',
  tokens = [],
  hasMetrics = false,
  ...options
}: TestApiOptions = {}): Promise<HttpServers & { readonly url: string }> {
  const listen = { host, port: 0, explicit: true };
  const servers = await startHttp({
    settings: {
      api: { listen, tokens },
      metrics: { listen: hasMetrics ? { ...listen, host: '127.0.0.1' } : 'off' },
    },
    status: serviceStatus,
    control: testControl(),
    streams: { find: () => undefined },
    metricsText: async () => '',
    logger: createLogger({ level: 'error', destination: { write: () => undefined } }),
    ...options,
  });
  onTestFinished(() => servers.close());
  // "Every address" is none to connect to.
  return { ...servers, url: servers.apiUrl!.replace('0.0.0.0', '127.0.0.1') };
}

// The demo's service: exactly as `tailrace run` has it, from a file as a user would write it.
import { writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadSettings } from '../../config/load.ts';
import type { RunningService } from '../../pipeline/service/service.ts';
import { createLogger } from '../../telemetry/logger.ts';
import type { CliPorts } from '../ports.ts';
import { DEMO_CREDENTIALS, DEMO_REGION } from './consumer.ts';
import type { DemoPlace } from './place.ts';
import { DEMO_TABLES } from './workload.ts';

const STREAMING_POLL_MS = 20;

/** Resolves once it streams. */
export async function startDemoService(
  ports: CliPorts,
  {
    signal,
    cleanup,
    place,
    postgresPort,
    emulatorUrl,
  }: {
    readonly signal: AbortSignal;
    readonly cleanup: AsyncDisposableStack;
    readonly place: DemoPlace;
    readonly postgresPort: number;
    readonly emulatorUrl: string;
  },
): Promise<RunningService> {
  await writeFile(place.configFile, configText(postgresPort, emulatorUrl), { mode: 0o600 });
  const { settings } = await loadSettings({
    configFile: place.configFile,
    dataDir: place.data,
    env: {},
    cwd: place.root,
  });
  const logger = createLogger({ level: 'warn', destination: ports.stderr, env: ports.env });
  const service = await ports.startService(settings, { version: ports.version, logger });
  cleanup.defer(() => service.stop());
  let ended = false;
  void service.ended.then(() => (ended = true));
  while (service.status().databases.some((database) => database.state !== 'streaming')) {
    signal.throwIfAborted();
    const halted = service.status().databases.find((database) => database.health === 'halted');
    if (ended || halted !== undefined) {
      throw new Error(halted?.reason ?? 'the service ended before it streamed');
    }
    await sleep(STREAMING_POLL_MS);
  }
  return service;
}

const configText = (
  postgresPort: number,
  endpoint: string,
): string => `# The configuration of a demo: its Postgres and its SQS emulator run only while it does.
databases:
  - name: demo
    hostname: 127.0.0.1
    port: ${postgresPort}
    database: postgres
    username: postgres
    password: postgres
    tls: { mode: disable }
    slot: { name: tailrace_demo, create_if_not_exists: true }
    publication: { name: tailrace_demo, create_if_not_exists: true }
sinks:${DEMO_TABLES.map(
  (table) => `
  - name: ${table}
    database: demo
    source: { include_tables: [public.${table}] }
    format: tailrace
    destination:
      type: sqs
      queue_name: ${table}.fifo
      create_if_not_exists: true
      region: ${DEMO_REGION}
      access_key_id: ${DEMO_CREDENTIALS.accessKeyId}
      secret_access_key: ${DEMO_CREDENTIALS.secretAccessKey}
      emulator_base_url: ${endpoint}`,
).join('')}
api: { listen: "127.0.0.1:0" }
metrics: { listen: "off" }
shutdown_timeout: 5s
`;

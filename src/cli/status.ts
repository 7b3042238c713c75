// `tailrace status`: what a running service says of itself, read over HTTP.
import type { HealthDocument, PublicHealthDocument } from '../pipeline/service/health.ts';
import { EXIT, writeLine, type CliPorts } from './ports.ts';
import { connectToService, isRecord, refusal, type ServiceOptions } from './service-client.ts';
import { renderStatus } from './status-table.ts';

export async function status(options: ServiceOptions, ports: CliPorts): Promise<number> {
  const service = await connectToService(options, ports, ['api', 'metrics']);
  // 503 of a service that is halted comes with its document.
  const { status, body: document } = await service.fetch('/health');
  if (status === 401 || !isHealth(document)) throw refusal(service.url, status, undefined);
  if (options.json === true) writeLine(ports.stdout, JSON.stringify(document, undefined, 2));
  else if (isWhole(document)) ports.stdout.write(renderStatus(document, ports));
  else {
    writeLine(ports.stdout, document.status);
    writeLine(ports.stderr, `${service.url.origin} shows more with a token: set TAILRACE_TOKEN`);
  }
  return document.status === 'halted' ? EXIT.no : EXIT.ok;
}

const isHealth = (value: unknown): value is HealthDocument | PublicHealthDocument =>
  isRecord(value) && 'status' in value && 'databases' in value && 'sinks' in value;

const isWhole = (document: HealthDocument | PublicHealthDocument): document is HealthDocument =>
  'startedAt' in document;

// Destinations as sinks get them: with what the entry of `http_endpoints` says that they name. No sink is known here by its
// name: a sink's schema marks the key that refers to such an entry (`refersTo`).
import type { SinkSettings } from '../../pipeline/settings.ts';
import { withEndpoint } from '../../sinks/http/endpoint.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import type { SinkDefinition } from '../../sinks/sink.ts';
import { nearestName } from '../../core/nearest-name.ts';
import { listOf } from '../file/file-value.ts';
import type { EndpointConfig } from '../schema/endpoint.ts';
import { jsonSchemaOfFile } from '../schema/file-json-schema.ts';
import { jsonSchemaOf, walkSchema } from '../schema/json-schema.ts';
import type { SinkConfig } from '../schema/sink.ts';
import { isLoopback } from '../units.ts';
import type { Reader } from './cross-checks.ts';

const ENDPOINTS = 'http_endpoints';

/** Names of endpoints: each once, and known where something refers to it. */
export function checkEndpoints({ file, faults }: Reader): void {
  const names = new Set<string>();
  for (const index of listOf(file, ENDPOINTS).keys()) {
    const path = [ENDPOINTS, index, 'name'];
    const name = file.text(path);
    if (name === undefined) continue;
    if (names.has(name))
      faults.push(file.fault(path, `another of the http_endpoints is called "${name}" already`));
    names.add(name);
  }
  walkSchema(jsonSchemaOfFile(), file.value, (path, schema) => {
    if (schema.refersTo !== ENDPOINTS) return;
    const name = file.text(path);
    if (name === undefined || names.has(name)) return;
    const nearest = nearestName(name, names);
    faults.push({
      ...file.fault(path, `there is no entry of http_endpoints called "${name}"`),
      allowed: [...names],
      ...(nearest === undefined ? {} : { nearest }),
    });
  });
}

/** What any destination may hold of these, whatever its type. */
type Destination = Parameters<typeof withEndpoint>[0] & { readonly type: string };

export function toDestination(
  sink: SinkConfig,
  endpoints: readonly EndpointConfig[],
): SinkSettings['destination'] {
  const written = sink.destination as Destination;
  const definition = sinkDefinition(written.type)!;
  const endpoint = endpointOf(written, definition, endpoints);
  // A destination's type may have several spellings.
  return {
    type: definition.type,
    config: endpoint === undefined ? written : withEndpoint(written, endpoint),
  };
}

function endpointOf(
  written: object,
  { config }: SinkDefinition<unknown>,
  endpoints: readonly EndpointConfig[],
): EndpointConfig | undefined {
  if (endpoints.length === 0) return undefined;
  const fields = Object.entries(jsonSchemaOf(config).properties ?? {});
  const key = fields.find(([, field]) => field.refersTo === ENDPOINTS)?.[0];
  const name = key === undefined ? undefined : (written as Record<string, unknown>)[key];
  return endpoints.find((endpoint) => endpoint.name === name);
}

/** What the sink's own definition has to say of it. */
export function noteDestination(
  sink: string,
  { type, config }: SinkSettings['destination'],
  notes: string[],
): void {
  for (const note of sinkDefinition(type)?.notesOf?.(config) ?? []) notes.push(`sink ${sink}: ${note}`);
}

export function noteUnverifiedDestination(
  sink: string,
  destination: SinkSettings['destination'],
  notes: string[],
): void {
  const { url, tls } = destination.config as Destination;
  if (url === undefined || tls?.mode !== 'require') return;
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  if (isLoopback(host)) return;
  notes.push(
    `sink ${sink}: TLS mode "require" does not prove that ${host} is the server that was meant; verify-full does`,
  );
}

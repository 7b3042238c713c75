// Destinations as sinks get them: with the HTTP endpoint that they name, and with the texts of certificates.
import type { SinkSettings } from '../../pipeline/settings.ts';
import { mergeHeaders, type Header } from '../../sinks/http/headers.ts';
import { sinkDefinition } from '../../sinks/registry.ts';
import { certificatesAt, type Certificates } from './certificates.ts';
import { listOf, type Reader } from './cross-checks.ts';
import { nearestName } from '../file/faults.ts';
import type { EndpointConfig } from '../schema/endpoint.ts';
import type { SinkConfig } from '../schema/sink.ts';
import { isLoopback } from '../units.ts';
import type { Path } from '../file/yaml-file.ts';

/** Names of endpoints: each once, and known where a destination refers to it. */
export function checkEndpoints({ file, faults }: Reader): void {
  const names = new Set<string>();
  for (const index of listOf(file, 'http_endpoints').keys()) {
    const path = ['http_endpoints', index, 'name'];
    const name = file.text(path);
    if (name === undefined) continue;
    if (names.has(name))
      faults.push(file.fault(path, `another of the http_endpoints is called "${name}" already`));
    names.add(name);
  }
  for (const index of listOf(file, 'sinks').keys()) {
    const path = ['sinks', index, 'destination', 'http_endpoint'];
    const name = file.text(path);
    if (name === undefined || names.has(name)) continue;
    const nearest = nearestName(name, names);
    faults.push({
      ...file.fault(path, `there is no entry of http_endpoints called "${name}"`),
      allowed: [...names],
      ...(nearest === undefined ? {} : { nearest }),
    });
  }
}

export type DestinationReader = (sink: SinkConfig, index: number) => SinkSettings['destination'];

/** What any destination may hold of these, whatever its type. */
type Shared = {
  readonly type: string;
  readonly http_endpoint?: string | undefined;
  readonly url?: string | undefined;
  readonly tls?: { readonly mode?: string } | undefined;
  readonly headers?: readonly Header[];
  readonly encrypted_headers?: readonly Header[];
};

export function destinationReader(
  endpoints: readonly EndpointConfig[],
  { pems, notes }: { readonly pems: Certificates; readonly notes: string[] },
): DestinationReader {
  const withCertificates = <T extends { readonly tls?: object | undefined }>(value: T, holder: Path): T =>
    value.tls === undefined ? value : { ...value, tls: { ...value.tls, ...certificatesAt(holder, pems) } };
  const known = new Map(
    endpoints.map((endpoint, index) => [
      endpoint.name,
      withCertificates(endpoint, ['http_endpoints', index]),
    ]),
  );
  return (sink, index) => {
    const written = withCertificates(sink.destination as Shared, ['sinks', index, 'destination']);
    const { type, http_endpoint: name } = written;
    const endpoint = name === undefined ? undefined : known.get(name);
    const config = endpoint === undefined ? written : withEndpoint(written, endpoint);
    noteUnverified(sink.name, config, notes);
    // A destination's type may have several spellings.
    return { type: sinkDefinition(type)?.type ?? type, config };
  };
}

/** The destination's own headers win; in each place, the encrypted ones over the others. */
function withEndpoint(destination: Shared, endpoint: EndpointConfig): Shared & { readonly url: string } {
  const { url, tls } = endpoint;
  return {
    ...destination,
    url,
    ...(tls === undefined ? {} : { tls }),
    headers: [],
    encrypted_headers: mergeHeaders(
      endpoint.headers,
      endpoint.encrypted_headers,
      destination.headers ?? [],
      destination.encrypted_headers ?? [],
    ),
  };
}

function noteUnverified(sink: string, { url, tls }: Shared, notes: string[]): void {
  if (url === undefined || tls?.mode !== 'require') return;
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  if (isLoopback(host)) return;
  notes.push(
    `sink ${sink}: TLS mode "require" does not prove that ${host} is the server that was meant; verify-full does`,
  );
}

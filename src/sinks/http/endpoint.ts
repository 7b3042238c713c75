// What the configuration says of an HTTP endpoint, in `http_endpoints` and in a destination: URL, headers, TLS.
import { z } from 'zod';
import { isTemplate } from '../../core/template.ts';
import { headerList, mergeHeaders, type Header } from './headers.ts';

/** A message never repeats the URL: a query may hold a token. */
export const endpointUrl = () =>
  z.string().superRefine((text, context) => {
    const message = faultOfUrl(text);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

function faultOfUrl(text: string): string | undefined {
  const expected = 'a URL with its scheme is expected: https://example.com/hook';
  if (isTemplate(text)) return 'no row chooses the host: its values belong into http_endpoint_path';
  // The URL parser drops line breaks in silence.
  if (/[\s\p{Cc}]/u.test(text) || !URL.canParse(text)) return expected;
  const url = new URL(text);
  if (!/^https?:$/.test(url.protocol)) return expected;
  if (url.username !== '' || url.password !== '') {
    return 'credentials do not belong into a URL: write an Authorization header into encrypted_headers';
  }
  return undefined;
}

const tlsConfig = () =>
  z
    .strictObject({
      mode: z
        .enum(['require', 'verify-ca', 'verify-full'])
        .default('verify-full')
        .describe(
          'How much is verified. Only `verify-full` proves that the server is the one that was meant.',
        ),
      ca: z.string().min(1).optional().meta({
        description:
          "Certificate authorities: a PEM file, relative to this file, or the PEM text. Default: Node's.",
        pem: true,
      }),
      cert: z
        .string()
        .min(1)
        .optional()
        .meta({ description: 'Client certificate: a PEM file or text.', pem: true }),
      key: z.string().min(1).optional().meta({
        description: 'Key of the client certificate: a PEM file or text.',
        pem: true,
        secret: true,
      }),
    })
    .refine((tls) => (tls.cert === undefined) === (tls.key === undefined), {
      path: ['cert'],
      error: 'cert and key go together',
    });

/** What an entry of `http_endpoints` says, and a destination that names none may say itself. */
export const endpointFields = {
  headers: headerList().meta({
    description:
      'Headers of each request, as a list of `key` and `value` or as a mapping. `content-encoding: gzip` compresses the body. Never shown.',
    secret: true,
  }),
  encrypted_headers: headerList().meta({
    description: 'The same, for secrets; they win over `headers`. Kept in memory only, and never shown.',
    secret: true,
  }),
  tls: tlsConfig().optional().describe('TLS of an `https` URL.'),
};

/** A client may be told to verify, but not over http. */
export const tlsNeedsHttps = ({ url, tls }: { url?: unknown; tls?: unknown }): boolean =>
  tls === undefined || typeof url !== 'string' || !url.toLowerCase().startsWith('http:');
export const TLS_NEEDS_HTTPS = { path: ['tls'], error: 'this needs an https URL' };

export type EndpointTls = z.output<ReturnType<typeof tlsConfig>>;

/** The key of a destination that names an entry of `http_endpoints`: the configuration gives it what that entry says. */
export const endpointReference = () =>
  z.string().min(1).optional().meta({
    description: 'Name of an entry of `http_endpoints`. Or write `url` here.',
    refersTo: 'http_endpoints',
  });

/** What an entry of `http_endpoints` and a destination have in common. */
type Endpoint = {
  readonly url?: string | undefined;
  readonly tls?: EndpointTls | undefined;
  readonly headers?: readonly Header[];
  readonly encrypted_headers?: readonly Header[];
};

/** The destination with what its endpoint says. Its own headers win; in each place, the encrypted ones over the others. */
export function withEndpoint<D extends Endpoint>(destination: D, endpoint: Endpoint): D {
  const { url, tls } = endpoint;
  // Those that rows decide are no secrets of the endpoint's, and stay apart.
  const routed = (destination.headers ?? []).filter(({ value }) => isTemplate(value));
  const names = new Set(routed.map(({ key }) => key.toLowerCase()));
  const fixed = mergeHeaders(
    endpoint.headers ?? [],
    endpoint.encrypted_headers ?? [],
    destination.headers ?? [],
  ).filter(({ key }) => !names.has(key.toLowerCase()));
  return {
    ...destination,
    url,
    ...(tls === undefined ? {} : { tls }),
    headers: routed,
    encrypted_headers: mergeHeaders(fixed, destination.encrypted_headers ?? []),
  };
}

// The schema of one entry of `http_endpoints`: what several webhook sinks may share, as in sequin.yaml.
import { z } from 'zod';
import { endpointFields, endpointUrl, TLS_NEEDS_HTTPS, tlsNeedsHttps } from '../../sinks/http/endpoint.ts';
import { resourceName } from './parts.ts';

/** Sequin's cloud is closed, and its tunnels with it. */
const noTunnel = (what: string) =>
  z
    .literal(false, {
      error: `${what} are not here: write url, such as http://localhost:4000/hook`,
    })
    .optional()
    .describe('Only `false`, as in `sequin.yaml`.');

export const endpointSchema = z
  .strictObject({
    name: resourceName().describe('Name of the endpoint; destinations refer to it.'),
    url: endpointUrl().describe('Its URL. It is shown in status and logs, except for its query.'),
    ...endpointFields,
    local: noTunnel("Sequin Cloud's tunnels"),
    'webhook.site': noTunnel('test endpoints of webhook.site'),
  })
  .refine(tlsNeedsHttps, TLS_NEEDS_HTTPS);

export type EndpointConfig = z.output<typeof endpointSchema>;

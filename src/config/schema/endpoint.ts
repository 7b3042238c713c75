// The schema of one entry of `http_endpoints`: what several webhook sinks may share, as in sequin.yaml.
import { z } from 'zod';
import { endpointFields, endpointUrl, TLS_NEEDS_HTTPS, tlsNeedsHttps } from '../../sinks/http/endpoint.ts';
import { exported, notYet, resourceName } from './parts.ts';

/** Sequin's cloud is closed, and its tunnels with it. */
const isNotHere = (what: string): string =>
  `${what} are not here: write url, such as http://localhost:4000/hook`;

export const endpointSchema = z
  .strictObject({
    name: resourceName().describe('Name of the endpoint; destinations refer to it.'),
    url: endpointUrl().describe('Its URL. It is shown in status and logs, except for its query.'),
    ...endpointFields,
    local: notYet(isNotHere("Sequin Cloud's tunnels")),
    'webhook.site': notYet(isNotHere('test endpoints of webhook.site')),
    path: notYet('write the path into url, or into http_endpoint_path of the destination'),
    ...exported(),
  })
  .refine(tlsNeedsHttps, TLS_NEEDS_HTTPS);

export type EndpointConfig = z.output<typeof endpointSchema>;

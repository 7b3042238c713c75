// Clients for the routes of one sink: one per endpoint and region, all with the same credentials.
import { AwsClient, type AwsProtocol } from './client.ts';
import { emulatorOf, type AwsConfig } from './config.ts';
import { CredentialCache, credentialLoader } from './credentials.ts';
import { faultOfAwsUrl } from './endpoint-url.ts';
import { ENDPOINT_NOT_FOUND, RequestError } from './errors.ts';
import {
  endpointOverride,
  findEmulatorRegion,
  findEndpoint,
  findRegion,
  isAwsHost,
  regionOfHost,
  type AwsService,
} from './region.ts';

export type ServiceConnection = { readonly service: AwsService; readonly protocol: AwsProtocol };

/** What a route says of where it is served. */
export type AwsPlace = {
  readonly endpoint?: URL | undefined;
  /** Goes before every other source of a region. */
  readonly region?: string | undefined;
};

export class AwsConnections {
  readonly #connection: ServiceConnection;
  readonly #config: AwsConfig;
  /** The emulator; undefined: none was configured here. */
  readonly #emulator: string | undefined;
  readonly #env: NodeJS.ProcessEnv;
  #override: Promise<URL | undefined> | undefined;
  readonly #credentials: CredentialCache;
  readonly #clients = new Map<string, AwsClient>();

  constructor(connection: ServiceConnection, config: AwsConfig, env: NodeJS.ProcessEnv) {
    this.#connection = connection;
    this.#config = config;
    this.#env = env;
    this.#emulator = emulatorOf(config);
    const options = { ...config, emulator_base_url: this.#emulator };
    this.#credentials = new CredentialCache(credentialLoader(options));
  }

  /** The client for a route. Throws RequestError. */
  async clientFor(place: AwsPlace): Promise<AwsClient> {
    const endpoint = (await this.#overridden()) ?? place.endpoint;
    const { region, url } =
      endpoint === undefined ? await this.#awsPlace(place) : await this.#placeAt(endpoint, place);
    const key = `${region} ${url.href}`;
    let client = this.#clients.get(key);
    if (client === undefined) {
      client = new AwsClient({
        ...this.#connection,
        endpoint: url,
        region,
        credentials: this.#credentials,
        timeoutMs: this.#config.timeout,
      });
      this.#clients.set(key, client);
    }
    return client;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  /** What takes the place of AWS' own endpoint, found once. */
  #overridden(): Promise<URL | undefined> {
    this.#override ??= this.#findOverride().catch((error: unknown) => {
      this.#override = undefined;
      throw error;
    });
    return this.#override;
  }

  async #findOverride(): Promise<URL | undefined> {
    const found =
      this.#emulator ?? (await endpointOverride(this.#connection.service, this.#config, this.#env));
    if (found === undefined) return undefined;
    const fault = faultOfAwsUrl(found, 'http://localhost:4566');
    if (fault === undefined) return new URL(found);
    throw new RequestError({
      code: ENDPOINT_NOT_FOUND,
      message: `the AWS endpoint of the environment: ${fault}`,
    });
  }

  async #awsPlace(place: AwsPlace): Promise<{ region: string; url: URL }> {
    const region = place.region ?? (await findRegion(this.#config));
    const url = await findEndpoint(this.#connection.service, { region, profile: this.#config.profile });
    return { region, url };
  }

  /** A given endpoint: AWS' own, one of a VPC, an emulator. */
  async #placeAt(url: URL, place: AwsPlace): Promise<{ region: string; url: URL }> {
    const { hostname } = url;
    const region =
      place.region ??
      regionOfHost(this.#connection.service, hostname) ??
      (await (isAwsHost(hostname) ? findRegion(this.#config) : findEmulatorRegion(this.#config)));
    return { region, url };
  }
}

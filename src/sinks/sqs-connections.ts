// Clients for the queues of one sink: one per endpoint and region, all with the same credentials.
import { CredentialCache, credentialLoader } from './aws-credentials.ts';
import { AwsJsonClient } from './aws-json-client.ts';
import {
  endpointOverride,
  findEmulatorRegion,
  findRegion,
  findSqsEndpoint,
  isAwsHost,
} from './aws-region.ts';
import type { SqsConfig } from './sqs-config.ts';
import { regionOfQueueUrl } from './sqs-queue-url.ts';

export class SqsConnections {
  readonly #config: SqsConfig;
  readonly #override: URL | undefined;
  readonly #credentials: CredentialCache;
  readonly #clients = new Map<string, AwsJsonClient>();

  constructor(config: SqsConfig, env: NodeJS.ProcessEnv) {
    this.#config = config;
    const emulator = config.use_emulator === false ? undefined : config.emulator_base_url;
    const override = emulator ?? endpointOverride(env);
    this.#override = override === undefined ? undefined : new URL(override);
    this.#credentials = new CredentialCache(credentialLoader({ ...config, emulator_base_url: emulator }));
  }

  /** The client for a queue: by URL, or by name (undefined). Throws RequestError. */
  async clientFor(queueUrl: string | undefined): Promise<AwsJsonClient> {
    const { region, endpoint } =
      this.#override === undefined
        ? await this.#awsPlace(queueUrl)
        : await this.#emulatorPlace(this.#override);
    const key = `${region} ${endpoint.href}`;
    let client = this.#clients.get(key);
    if (client === undefined) {
      client = new AwsJsonClient({
        service: 'sqs',
        targetPrefix: 'AmazonSQS',
        endpoint,
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

  async #awsPlace(queueUrl: string | undefined): Promise<{ region: string; endpoint: URL }> {
    if (queueUrl === undefined) {
      const region = await findRegion(this.#config);
      const endpoint = await findSqsEndpoint({ region, profile: this.#config.profile });
      return { region, endpoint };
    }
    // A queue is served where its URL says, as the SDK does it.
    const endpoint = new URL('/', queueUrl);
    const region =
      regionOfQueueUrl(queueUrl) ??
      (await (isAwsHost(endpoint.hostname) ? findRegion(this.#config) : findEmulatorRegion(this.#config)));
    return { region, endpoint };
  }

  async #emulatorPlace(endpoint: URL): Promise<{ region: string; endpoint: URL }> {
    const isAws = isAwsHost(endpoint.hostname); // a VPC endpoint
    const region =
      regionOfQueueUrl(endpoint.href) ??
      (await (isAws ? findRegion(this.#config) : findEmulatorRegion(this.#config)));
    return { region, endpoint };
  }
}

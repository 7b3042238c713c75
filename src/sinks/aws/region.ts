// Which region and endpoint a service has here: asked of the SDK, which reads environment, profiles and partitions.
import { REGION_MISSING, RequestError } from './errors.ts';

export type RegionOptions = { readonly region?: string | undefined; readonly profile?: string | undefined };

const DEFAULT_EMULATOR_REGION = 'us-east-1';

/** A service as its host names say it: `sqs`, `sns`. */
export type AwsService = string;

/** The endpoint that replaces AWS's, as the SDK's variables name it. */
export function endpointOverride(service: AwsService, env: NodeJS.ProcessEnv): string | undefined {
  if (env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] === 'true') return undefined;
  return env[`AWS_ENDPOINT_URL_${service.toUpperCase()}`] || env['AWS_ENDPOINT_URL'] || undefined;
}

/** Configured, of the environment or of the profile; throws RequestError REGION_MISSING. */
export async function findRegion(options: RegionOptions): Promise<string> {
  if (options.region !== undefined) return options.region;
  try {
    return await (await sdkConfig(options)).region();
  } catch (cause) {
    throw new RequestError({ code: REGION_MISSING, message: 'no AWS region is configured', cause });
  }
}

/** Emulators take any region. */
export const findEmulatorRegion = (options: RegionOptions): Promise<string> =>
  findRegion(options).catch(() => DEFAULT_EMULATOR_REGION);

/** A service's own endpoint in a region: partition, FIPS and dual-stack as configured. */
export async function findEndpoint(
  service: AwsService,
  options: RegionOptions & { readonly region: string },
): Promise<URL> {
  const config = await sdkConfig(options);
  const { url } = config.endpointProvider({
    Region: options.region,
    UseFIPS: await config.useFipsEndpoint(),
    UseDualStack: await config.useDualstackEndpoint(),
  });
  return endpointLike(url, service);
}

/** SNS' hosts are SQS' with another first name, in every partition (a test asks the SDK for SNS). */
export const endpointLike = (sqsEndpoint: URL, service: AwsService): URL =>
  new URL(sqsEndpoint.href.replace(/^https:\/\/sqs\b/, `https://${service}`));

// Standard, FIPS, dual-stack and VPC endpoints. https://docs.aws.amazon.com/general/latest/gr/sqs-service.html
const HOST = /(?:^|\.)([a-z0-9]+)(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;
// `<region>.queue.amazonaws.com`
const LEGACY_SQS_HOST = /^(?:([a-z0-9-]+)\.)?queue\.amazonaws\.com(?:\.cn)?$/;

/** The region that a host of AWS names; undefined for any other host. */
export function regionOfHost(service: AwsService, hostname: string): string | undefined {
  if (service === 'sqs') {
    const legacy = LEGACY_SQS_HOST.exec(hostname);
    if (legacy !== null) return legacy[1] ?? 'us-east-1';
  }
  const [, named, region] = HOST.exec(hostname) ?? [];
  return named === service ? region : undefined;
}

/** Does this host belong to AWS? */
export const isAwsHost = (hostname: string): boolean =>
  /(?:^|\.)(?:amazonaws\.com(?:\.cn)?|api\.aws)$/.test(hostname);

async function sdkConfig({ region, profile }: RegionOptions) {
  // SQS' client for all: the settings are the same. Imported late: a queue URL with static credentials needs no SDK at all.
  const { SQSClient } = await import('@aws-sdk/client-sqs');
  const client = new SQSClient({
    ...(region !== undefined && { region }),
    ...(profile !== undefined && { profile }),
  });
  return client.config;
}

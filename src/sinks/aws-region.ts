// Which region and endpoint a service has here: asked of the SDK, which reads environment, profiles and partitions.
import { REGION_MISSING, RequestError } from './aws-errors.ts';

export type RegionOptions = { readonly region?: string | undefined; readonly profile?: string | undefined };

const DEFAULT_EMULATOR_REGION = 'us-east-1';

/** The endpoint that replaces AWS's, as the SDK's variables name it. */
export function endpointOverride(env: NodeJS.ProcessEnv): string | undefined {
  if (env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'] === 'true') return undefined;
  return env['AWS_ENDPOINT_URL_SQS'] || env['AWS_ENDPOINT_URL'] || undefined;
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

/** SQS's own endpoint in a region: partition, FIPS and dual-stack as configured. */
export async function findSqsEndpoint(options: RegionOptions & { readonly region: string }): Promise<URL> {
  const config = await sdkConfig(options);
  const { url } = config.endpointProvider({
    Region: options.region,
    UseFIPS: await config.useFipsEndpoint(),
    UseDualStack: await config.useDualstackEndpoint(),
  });
  return url;
}

/** Does this host belong to AWS? */
export const isAwsHost = (hostname: string): boolean =>
  /(?:^|\.)(?:amazonaws\.com(?:\.cn)?|api\.aws)$/.test(hostname);

async function sdkConfig({ region, profile }: RegionOptions) {
  // Imported late: a queue URL with static credentials needs no SDK at all.
  const { SQSClient } = await import('@aws-sdk/client-sqs');
  const client = new SQSClient({
    ...(region !== undefined && { region }),
    ...(profile !== undefined && { profile }),
  });
  return client.config;
}

// Which region and endpoint a service has here: asked of the SDK, which reads environment, profiles and partitions.
import { didYouMean } from '../../core/nearest-name.ts';
import { faultOfToken } from '../http/printable.ts';
import { isRegionName, judgeRegion } from './known-regions.ts';
import { ENDPOINT_NOT_FOUND, REGION_MISSING, REGION_UNKNOWN, RequestError } from './errors.ts';

export type RegionOptions = { readonly region?: string | undefined; readonly profile?: string | undefined };

const DEFAULT_EMULATOR_REGION = 'us-east-1';

/** A service as its host names say it: `sqs`, `sns`. */
export type AwsService = string;

/**
 * The endpoint that the environment or the profile puts in the place of AWS's, as the SDK finds it; undefined: none.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
 * Throws RequestError ENDPOINT_NOT_FOUND where the profile names `services` that the file does not have.
 */
export async function endpointOverride(
  service: AwsService,
  options: Pick<RegionOptions, 'profile'>,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const ignored = env['AWS_IGNORE_CONFIGURED_ENDPOINT_URLS'];
  if (ignored === 'true') return undefined;
  const found = env[`AWS_ENDPOINT_URL_${service.toUpperCase()}`] || env['AWS_ENDPOINT_URL'];
  if (found) return found;
  // Imported late: most of what runs has no AWS sink.
  const { CONFIG_PREFIX_SEPARATOR, loadSharedConfigFiles } = await import('@smithy/core/config');
  const { configFile, credentialsFile } = await loadSharedConfigFiles({ ignoreCache: true });
  const name = options.profile ?? (env['AWS_PROFILE'] || 'default');
  const profile = { ...credentialsFile[name], ...configFile[name] };
  if (ignored === undefined && profile['ignore_configured_endpoint_urls'] === 'true') return undefined;
  const { services } = profile;
  if (services === undefined) return profile['endpoint_url'];
  const section = configFile[['services', services].join(CONFIG_PREFIX_SEPARATOR)];
  if (section === undefined) {
    throw new RequestError({
      code: ENDPOINT_NOT_FOUND,
      message: `the AWS profile ${name} names services = ${services}, but there is no [services ${services}]`,
    });
  }
  return section[[service, 'endpoint_url'].join(CONFIG_PREFIX_SEPARATOR)] ?? profile['endpoint_url'];
}

/** Configured, of the environment or of the profile; throws RequestError REGION_MISSING, REGION_UNKNOWN. */
export async function findRegion(options: RegionOptions): Promise<string> {
  const region = await lookUpRegion(options);
  const judged = judgeRegion(region);
  if (judged.kind !== 'mistyped') return region;
  const message = `AWS has no region ${region}${didYouMean(judged.nearest)}`;
  throw new RequestError({ code: REGION_UNKNOWN, message });
}

async function lookUpRegion(options: RegionOptions): Promise<string> {
  if (options.region !== undefined) return options.region;
  let found: string | undefined;
  try {
    found = await (await sdkConfig(options)).region();
  } catch (cause) {
    // The SDK names none that cannot be part of a host's name.
    found = await writtenRegion(options);
    if (found === undefined) {
      throw new RequestError({ code: REGION_MISSING, message: 'no AWS region is configured', cause });
    }
  }
  if (isRegionName(found)) return found;
  const message = `the AWS region of the environment or the profile is none: ${faultOfToken(found) ?? 'it has other characters than letters, digits and hyphens'}`;
  throw new RequestError({ code: REGION_UNKNOWN, message });
}

async function writtenRegion({ profile }: RegionOptions): Promise<string | undefined> {
  const { loadConfig, NODE_REGION_CONFIG_OPTIONS, NODE_REGION_CONFIG_FILE_OPTIONS } =
    await import('@smithy/core/config');
  const found = await loadConfig(
    { ...NODE_REGION_CONFIG_OPTIONS, default: '' },
    { ...NODE_REGION_CONFIG_FILE_OPTIONS, ...(profile !== undefined && { profile }) },
  )().catch(() => '');
  return found === '' ? undefined : found;
}

/** Emulators take any region. */
export const findEmulatorRegion = (options: RegionOptions): Promise<string> =>
  lookUpRegion(options).catch(() => DEFAULT_EMULATOR_REGION);

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

/** Where AWS' names end, in each partition, and behind a dual stack: a test asks the SDK whether these are all. */
const DNS_SUFFIXES = [
  'amazonaws.com',
  'api.aws',
  'amazonaws.com.cn',
  'api.amazonwebservices.com.cn',
  'amazonaws.eu',
  'api.amazonwebservices.eu',
  'c2s.ic.gov',
  'api.aws.ic.gov',
  'sc2s.sgov.gov',
  'api.aws.scloud',
  'cloud.adc-e.uk',
  'api.cloud-aws.adc-e.uk',
  'csp.hci.ic.gov',
  'api.aws.hci.ic.gov',
];
const SUFFIX = `(?:${DNS_SUFFIXES.map((suffix) => suffix.replaceAll('.', '\\.')).join('|')})`;

// Standard, FIPS, dual-stack and VPC endpoints. https://docs.aws.amazon.com/general/latest/gr/sqs-service.html
const HOST = new RegExp(`(?:^|\\.)([a-z0-9]+)(?:-fips)?\\.([a-z0-9-]+)\\.(?:vpce\\.)?${SUFFIX}$`);
const AWS_HOST = new RegExp(`(?:^|\\.)${SUFFIX}$`);
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
export const isAwsHost = (hostname: string): boolean => AWS_HOST.test(hostname);

async function sdkConfig({ region, profile }: RegionOptions) {
  // SQS' client for all: the settings are the same. Imported late: a queue URL with static credentials needs no SDK at all.
  const { SQSClient } = await import('@aws-sdk/client-sqs');
  const client = new SQSClient({
    ...(region !== undefined && { region }),
    ...(profile !== undefined && { profile }),
  });
  return client.config;
}

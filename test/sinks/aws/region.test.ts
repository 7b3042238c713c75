// Regions and endpoints against the SDK's own data and rules.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SNSClient } from '@aws-sdk/client-sns';
import { ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { AwsConnections } from '../../../src/sinks/aws/connections.ts';
import { awsJson } from '../../../src/sinks/aws/json.ts';
import { judgeRegion, knownRegions } from '../../../src/sinks/aws/known-regions.ts';
import { endpointOverride, findRegion, isAwsHost, regionOfHost } from '../../../src/sinks/aws/region.ts';
import { sqsConfigSchema } from '../../../src/sinks/sqs/config.ts';

const CREDENTIALS = { accessKeyId: 'a', secretAccessKey: 'b' };

type Partition = { readonly id: string; readonly regions: Readonly<Record<string, unknown>> };

async function partitions(): Promise<readonly Partition[]> {
  const { partitionsInfo } = (await import(
    new URL(
      '../../../node_modules/@aws-sdk/core/dist-es/submodules/client/util-endpoints/lib/aws/partitions.js',
      import.meta.url,
    ).href
  )) as { partitionsInfo: { partitions: readonly Partition[] } };
  return partitionsInfo.partitions;
}

/** One region of each partition that the SDK knows. */
const REGIONS = [
  'eu-west-1',
  'cn-north-1',
  'us-gov-west-1',
  'us-iso-east-1',
  'us-isob-east-1',
  'eu-isoe-west-1',
  'us-isof-south-1',
  'eusc-de-east-1',
];

describe.each([
  ['sqs', () => new SQSClient({ credentials: CREDENTIALS, region: 'eu-west-1' })],
  ['sns', () => new SNSClient({ credentials: CREDENTIALS, region: 'eu-west-1' })],
] as const)('hosts of %s', (service, client) => {
  test.each(REGIONS)('in %s tell their region, whatever kind of endpoint the SDK finds', (Region) => {
    const { endpointProvider } = client().config;
    for (const UseFIPS of [false, true]) {
      for (const UseDualStack of [false, true]) {
        const { hostname } = endpointProvider({ Region, UseFIPS, UseDualStack }).url;
        expect([hostname, isAwsHost(hostname), regionOfHost(service, hostname)]).toEqual([
          hostname,
          true,
          Region,
        ]);
      }
    }
  });
});

test('every region that the SDK knows is known, and no other', async () => {
  const theirs = (await partitions()).flatMap(({ regions }) => Object.keys(regions));
  // A partition's services that have no region.
  expect([...knownRegions()].sort()).toEqual(theirs.filter((name) => !name.endsWith('-global')).sort());
});

test.each([
  ['eu-wst-1', 'eu-west-1'],
  ['eu-west1', 'eu-west-1'],
  ['euwest-1', 'eu-west-1'],
  ['us-esat-1', 'us-east-1'],
  ['ap-norhteast-1', 'ap-northeast-1'],
  ['EU-WEST-1', 'eu-west-1'],
])('%s is a typing error for %s', (written, nearest) => {
  expect(judgeRegion(written)).toEqual({ kind: 'mistyped', nearest });
});

test.each(['eu-west-9', 'mx-north-1', 'nz-south-1', 'us-isob-north-2', 'elasticmq', 'x'])(
  '%s may be new, or an emulator’s',
  (written) => {
    expect(judgeRegion(written)).toMatchObject({ kind: 'unknown' });
  },
);

test('how the known regions are built is how a new one may be', () => {
  for (const region of knownRegions()) {
    expect(judgeRegion(region)).toEqual({ kind: 'known' });
    expect(judgeRegion(region.replace(/\d+$/, '42'))).toMatchObject({ kind: 'unknown' });
  }
});

describe('the region of the environment', () => {
  beforeEach(() => vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent'));
  afterEach(() => void vi.unstubAllEnvs());
  const regionOf = (region: string) => {
    vi.stubEnv('AWS_REGION', region);
    return findRegion({});
  };

  test.each([
    ['eu-wst-1', /no region eu-wst-1; did you mean "eu-west-1"\?/],
    ['eu-west-1\n', /line break/],
    ['eu\u010awest-1', /U\+010A/],
    ['a.example.com/x', /letters, digits and hyphens/],
  ])('is refused by name where it is %j', async (written, message) => {
    await expect(regionOf(written)).rejects.toMatchObject({
      code: 'REGION_UNKNOWN',
      message: expect.stringMatching(message),
    });
  });

  test('is taken where it is new', async () => {
    expect(await regionOf('eu-west-9')).toBe('eu-west-9');
  });
});

test('the regions above are of every partition that the SDK knows', async () => {
  const { partition } = await import('@aws-sdk/core/client');
  expect(REGIONS.map((region) => partition(region).name).sort()).toEqual(
    (await partitions()).map(({ id }) => id).sort(),
  );
});

describe('an endpoint in the place of AWS’', () => {
  let directory: string;
  const configFile = (text: string): void => writeFileSync(join(directory, 'config'), text);

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tailrace-aws-'));
    vi.stubEnv('AWS_CONFIG_FILE', join(directory, 'config'));
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(directory, 'credentials'));
    for (const name of ['AWS_PROFILE', 'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_SQS'])
      vi.stubEnv(name, undefined);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(directory, { recursive: true });
  });

  const PROFILES = `
[default]
region = eu-west-1
[profile local]
endpoint_url = http://localhost:4566
[profile each]
services = mine
endpoint_url = http://localhost:1
[profile lost]
services = nowhere
[profile off]
ignore_configured_endpoint_urls = true
endpoint_url = http://localhost:2
[profile others]
services = others
endpoint_url = http://localhost:5
[profile twice]
endpoint_url = http://localhost:8
[services others]
s3 =
  endpoint_url = http://localhost:6
[services mine]
sqs =
  endpoint_url = http://localhost:9324
`;

  const CREDENTIALS_FILE = `
[twice]
endpoint_url = http://localhost:7
[keys]
endpoint_url = http://localhost:9
`;

  test.each([
    ['nothing', {}, undefined],
    ['the profile of the environment', { AWS_PROFILE: 'local' }, 'http://localhost:4566'],
    ['the services of the profile', { AWS_PROFILE: 'each' }, 'http://localhost:9324'],
    [
      'the profile’s own, of a service that its services leave out',
      { AWS_PROFILE: 'others' },
      'http://localhost:5',
    ],
    ['the configuration’s before the credentials’', { AWS_PROFILE: 'twice' }, 'http://localhost:8'],
    ['only the credentials’', { AWS_PROFILE: 'keys' }, 'http://localhost:9'],
    [
      'what the environment says not to ignore',
      { AWS_PROFILE: 'off', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'false' },
      'http://localhost:2',
    ],
    [
      'the environment before the profile',
      { AWS_PROFILE: 'each', AWS_ENDPOINT_URL: 'http://localhost:3' },
      'http://localhost:3',
    ],
    [
      'the service’s own variable first',
      { AWS_ENDPOINT_URL: 'http://localhost:3', AWS_ENDPOINT_URL_SQS: 'http://localhost:4' },
      'http://localhost:4',
    ],
    ['nothing that the profile says to ignore', { AWS_PROFILE: 'off' }, undefined],
    [
      'nothing that the environment says to ignore',
      { AWS_PROFILE: 'local', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' },
      undefined,
    ],
  ] as const)('is %s, as the SDK has it', async (_, env, expected) => {
    configFile(PROFILES);
    writeFileSync(join(directory, 'credentials'), CREDENTIALS_FILE);
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    expect(await endpointOverride('sqs', {}, process.env)).toBe(expected);
    if (expected === undefined) return;
    const client = new SQSClient({ credentials: CREDENTIALS, region: 'eu-west-1', maxAttempts: 1 });
    let asked: string | undefined;
    client.middlewareStack.add(
      () => (args) => {
        const { protocol, hostname, port } = args.request as {
          protocol: string;
          hostname: string;
          port?: number;
        };
        asked = `${protocol}//${hostname}:${port}`;
        return Promise.reject(new Error('asked'));
      },
      { step: 'deserialize', priority: 'low' },
    );
    await client.send(new ListQueuesCommand({})).catch(() => undefined);
    expect(asked).toBe(expected);
  });

  const connections = (destination: object): AwsConnections => {
    const config = sqsConfigSchema.parse({
      type: 'sqs',
      access_key_id: 'a',
      secret_access_key: 'b',
      ...destination,
    });
    const made = new AwsConnections({ service: 'sqs', protocol: awsJson('AmazonSQS') }, config, process.env);
    onTestFinished(() => made.close());
    return made;
  };

  test('is that of the destination’s own profile, also for the URL of a queue of AWS', async () => {
    configFile(PROFILES);
    const config = {
      queue_name: 'q',
      profile: 'local',
      access_key_id: undefined,
      secret_access_key: undefined,
    };
    const options = connections(config);
    const client = await options.clientFor({ endpoint: new URL('https://sqs.eu-west-1.amazonaws.com/') });
    expect(client.endpoint.href).toBe('http://localhost:4566/');
  });

  test.each([
    ['services that the file does not have', { AWS_PROFILE: 'lost' }, /no \[services nowhere\]/],
    [
      'what has no scheme',
      { AWS_ENDPOINT_URL: 'localhost:4566' },
      /scheme is expected: http:\/\/localhost:4566/,
    ],
    [
      'what holds a password',
      { AWS_ENDPOINT_URL: 'http://me:s3cret@localhost:4566' },
      /^(?!.*s3cret).*before the @/,
    ],
    ['what has a line break', { AWS_ENDPOINT_URL_SQS: 'http://localhost:4566\n' }, /line breaks/],
  ] as const)('of %s is an error, and nothing goes to AWS', async (_, env, message) => {
    configFile(PROFILES);
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    await expect(connections({ queue_name: 'q' }).clientFor({ region: 'eu-west-1' })).rejects.toMatchObject({
      code: 'ENDPOINT_NOT_FOUND',
      message: expect.stringMatching(message),
    });
  });
});

// What the configurations of AWS destinations share: region, credentials, emulator, lanes and timeout.
import { z } from 'zod';
import { DURATION_PATTERN, parseDurationMs } from '../../core/duration.ts';
import { faultOfText, faultOfToken } from '../http/printable.ts';
import { laneFields } from '../http/lanes.ts';
import { faultOfAwsUrl } from './endpoint-url.ts';
import { isRegionName, judgeRegion, type RegionVerdict } from './known-regions.ts';

const DEFAULT_TIMEOUT_MS = 10_000;

const duration = z
  .union([
    z.number().int().positive(),
    z.string().regex(DURATION_PATTERN, 'a duration looks like 500ms, 10s or 2m'),
  ])
  .transform((value) => (typeof value === 'number' ? value : parseDurationMs(value)!));

const token = () =>
  z
    .string()
    .min(1)
    .superRefine((text, context) => {
      const fault = text === '' ? undefined : faultOfToken(text);
      if (fault !== undefined) context.addIssue({ code: 'custom', message: `${fault}: write it without` });
    })
    .optional();

/** Of a profile: a section of a file, which may have blanks inside. */
const name = () =>
  z
    .string()
    .min(1)
    .superRefine((text, context) => {
      const fault = faultOfText(text);
      if (fault !== undefined) context.addIssue({ code: 'custom', message: `${fault}: write it without` });
    })
    .optional();

const secret = (description: string) => token().meta({ description, secret: true });

/** The URL of AWS, or of what stands in its place. A message never repeats what may hold a password. */
export const awsUrl = (example: string) =>
  z
    .string()
    .superRefine((text, context) => {
      const fault = faultOfAwsUrl(text, example);
      if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
    })
    .meta({ format: 'uri' });

/** `route`: what the sink delivers to; `identifier`: what of it tells a region. */
export const awsKeys = (words: {
  /** As it is called: `SQS`. */
  readonly service: string;
  readonly route: string;
  readonly identifier: string;
}) => ({
  region: z
    .string()
    .min(1)
    .refine((text) => text === '' || isRegionName(text), {
      error: 'a region has letters, digits and hyphens only, such as eu-west-1',
    })
    .optional()
    .describe(`AWS region. Default: of the ${words.identifier}, else \`AWS_REGION\`, else of the profile.`),
  access_key_id: token().describe('Static credentials: the access key id.'),
  secret_access_key: secret('Static credentials: the secret access key.'),
  session_token: secret('Static credentials: the session token of temporary ones.'),
  use_task_role: z
    .boolean()
    .default(false)
    .describe(
      'Use the role of the ECS task, EKS service account or EC2 instance, whatever the environment says.',
    ),
  profile: name().describe('Profile of the shared AWS configuration files.'),
  role_arn: token().describe('Role to assume with the credentials found above.'),
  external_id: token().describe('External id that the role asks for.'),
  emulator_base_url: awsUrl('http://localhost:4566')
    .optional()
    .describe(
      `Endpoint to use instead of AWS (fauxqs, LocalStack, a VPC endpoint). Default: \`AWS_ENDPOINT_URL_${words.service}\`, \`AWS_ENDPOINT_URL\`.`,
    ),
  use_emulator: z
    .boolean()
    .optional()
    .describe('As in sequin.yaml: `false` leaves `emulator_base_url` unused.'),
  is_fifo: z
    .boolean()
    .optional()
    .describe(`As in sequin.yaml: must agree with the name of the ${words.route}, which decides.`),
  ...laneFields(words.route),
  timeout: duration
    .default(DEFAULT_TIMEOUT_MS)
    .describe('How long a request may take before it counts as lost (`10s`). A number is in milliseconds.'),
});

/** The shared part after parsing; `timeout` is in milliseconds. */
export type AwsConfig = z.output<z.ZodObject<ReturnType<typeof awsKeys>>>;

export type Fault = {
  readonly path: readonly string[];
  readonly message: string;
  readonly params?: { readonly nearest: string };
};

/** What one field of credentials or emulator cannot say alone. */
export function* awsFaultsOf(config: AwsConfig): Generator<Fault> {
  yield* mistypedRegion(config, config.region, 'region');
  const isStatic = config.access_key_id !== undefined;
  if (isStatic !== (config.secret_access_key !== undefined)) {
    const missing = isStatic ? 'secret_access_key' : 'access_key_id';
    yield { path: [missing], message: 'access_key_id and secret_access_key belong together' };
  }
  if (config.session_token !== undefined && !isStatic) {
    yield { path: ['session_token'], message: 'session_token needs access_key_id and secret_access_key' };
  }
  const sources = [
    isStatic && 'access_key_id',
    config.use_task_role && 'use_task_role',
    config.profile && 'profile',
  ];
  const given = sources.filter((source): source is string => typeof source === 'string');
  if (given.length > 1) {
    yield { path: [given[1]!], message: `${given.join(' and ')} are different credentials: keep one` };
  }
  if (config.external_id !== undefined && config.role_arn === undefined) {
    yield { path: ['external_id'], message: 'external_id is for role_arn, which is missing' };
  }
  if (config.use_emulator === true && config.emulator_base_url === undefined) {
    yield { path: ['emulator_base_url'], message: 'use_emulator needs emulator_base_url' };
  }
}

/** `key`: where this region stands. */
export function* mistypedRegion(
  config: EmulatorConfig,
  region: string | undefined,
  key: string,
): Generator<Fault> {
  const judged = judgedRegion(config, region);
  if (judged?.kind === 'mistyped')
    yield { path: [key], message: `AWS has no region ${region}`, params: { nearest: judged.nearest } };
}

/** Undefined where none is written, an emulator takes any, or it is a fault in itself. */
function judgedRegion(config: EmulatorConfig, region: string | undefined): RegionVerdict | undefined {
  if (region === undefined || !isRegionName(region) || emulatorOf(config) !== undefined) return undefined;
  return judgeRegion(region);
}

type EmulatorConfig = Pick<AwsConfig, 'use_emulator' | 'emulator_base_url'>;

/** What takes the place of AWS, as far as the configuration says it. */
export const emulatorOf = ({
  use_emulator: isUsed,
  emulator_base_url: url,
}: EmulatorConfig): string | undefined => (isUsed === false ? undefined : url);

/** What is no fault, but may be one. */
export function awsNotesOf(config: AwsConfig): readonly string[] {
  const judged = judgedRegion(config, config.region);
  if (judged?.kind !== 'unknown') return [];
  const nearest = judged.nearest === undefined ? '' : ` (the nearest that is known: ${judged.nearest})`;
  return [`region ${config.region} is not known to this version${nearest}: right if it is new`];
}

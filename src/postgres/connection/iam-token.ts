// The password of a connection to Amazon RDS or Aurora by IAM: a token that holds for a quarter of an hour, signed for one host,
// port and role. https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.html
import { TailraceError } from '../../core/errors.ts';
import { credentialLoader } from '../../sinks/aws/credentials.ts';
import { findRegion, isAwsHost } from '../../sinks/aws/region.ts';
import type { IamSettings } from '../settings.ts';
import { formatTarget, type Target } from './target.ts';

/** Asks for credentials and signs anew. Rejects with TailraceError. */
export async function mintIamToken(settings: IamSettings, username: string, target: Target): Promise<string> {
  try {
    // Imported late: most of what runs does not need it.
    const { Signer } = await import('@aws-sdk/rds-signer');
    const { region: written, profile, roleArn, externalId, useTaskRole } = settings;
    const region = written ?? regionOfRdsHost(target.host) ?? (await findRegion({ profile }));
    const credentials = credentialLoader({
      use_task_role: useTaskRole,
      profile,
      role_arn: roleArn,
      external_id: externalId,
      region,
    });
    const signer = new Signer({ hostname: target.host, port: target.port, username, region, credentials });
    return await signer.getAuthToken();
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new TailraceError(`no IAM token can be made for ${formatTarget(target)}: ${said}`, {
      code: 'IAM_TOKEN',
      // A metadata service that is down comes back, and a role may be given to a task that runs.
      kind: 'retryable',
      hint: 'give this process AWS credentials (a task role, web identity, a profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and rds_iam.region',
      cause,
    });
  }
}

/**
 * `name.id.<region>.rds.amazonaws.com`, in China `….rds.<region>.amazonaws.com.cn`; the token must be for the region that the
 * server is in.
 */
export function regionOfRdsHost(host: string): string | undefined {
  if (!isAwsHost(host)) return undefined;
  const match = /\.(?:([a-z]{2,}(?:-[a-z]+)+-\d+)\.rds|rds\.([a-z]{2,}(?:-[a-z]+)+-\d+))\./.exec(host);
  return match?.[1] ?? match?.[2];
}

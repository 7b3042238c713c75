// Amazon's IAM: a role that signs in by token is let in for queries and, unless a parameter says so, not for the stream.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.FeatureSupport.IAMLogicalReplication.html
import type { Client } from 'pg';
import type { DatabaseSettings } from '../settings.ts';
import { failed, passed, type Finding } from './finding.ts';

const TITLE = 'rds.iam_auth_for_replication';

/** Nothing where neither we nor the role have to do with IAM, or the server does not know the parameter. */
export async function inspectIam(client: Client, { password }: DatabaseSettings): Promise<Finding[]> {
  const { rows } = await client.query<{ setting: string | null; isMember: boolean }>(
    `select current_setting('rds.iam_auth_for_replication', true) as setting,
       exists (select from pg_roles where rolname = 'rds_iam' and pg_has_role(oid, 'MEMBER')
         and not (select rolsuper from pg_roles where rolname = current_user)) as "isMember"`,
  );
  const { setting, isMember } = rows[0]!;
  const signsIn = typeof password === 'object' && password.from === 'rds_iam';
  if (setting === null || setting === '' || !(signsIn || isMember)) return [];
  if (['1', 'on', 'true'].includes(setting)) return [passed(TITLE, 'the stream may sign in by IAM')];
  return [
    failed({
      code: 'IAM_REPLICATION_OFF',
      title: TITLE,
      detail: `it is ${setting}: RDS takes an IAM token for queries, and refuses it for the stream`,
      cure: 'set rds.iam_auth_for_replication = 1 in the parameter group (no restart is needed)',
    }),
  ];
}

// Looks at everything streaming needs, before it starts: every fault with the exact SQL that cures it.
import { escapeIdentifier, type Client } from 'pg';
import { TailraceError } from '../../core/errors.ts';
import type { SinkNames } from '../../core/wanted-names.ts';
import {
  applicationName,
  closeConnection,
  connectReplication,
  formatTarget,
  inPlainSession,
  type ReplicationConnection,
  type Target,
} from '../connection/connection.ts';
import { findPrimary } from '../connection/hosts.ts';
import { identifySystem } from '../connection/identify-system.ts';
import { findServer } from '../connection/standbys.ts';
import { connectionFault } from '../connection/fault.ts';
import { inspectBarrier } from './barrier.ts';
import { failed, passed, warned, type Finding } from './finding.ts';
import { inspectIam } from './iam.ts';
import { inspectColumns, inspectUnmatched } from './names.ts';
import { inspectOthers } from './other-hosts.ts';
import { readPublication, type Publication } from './publication.ts';
import { asksForMessages } from '../replication/protocol.ts';
import { primarySettings, type DatabaseSettings } from '../settings.ts';
import { inspectSnapshotRight } from './kept-slot.ts';
import { inspectMissingSlot, inspectNamesake, inspectSlot, readSlot, type Slot } from './slot.ts';
import { inspectFailover } from './standby.ts';
import { inspectStreaming } from './streaming.ts';
import { inspectSynchronous } from './synchronous.ts';
import { inspectPublication, makingOf } from './publication-findings.ts';
import { inspectTables, type WantedTables } from './table-findings.ts';
import { readWanted } from './wanted.ts';
import { OLDEST_VERSION, STANDBYS_DECODE } from '../versions.ts';

export type { Finding };

/** What preflight learned on the way: the source goes on from it. */
export type Preflight = {
  readonly findings: readonly Finding[];
  /** Of the tables: they change while the source streams. */
  readonly tableFindings: readonly Finding[];
  readonly serverVersion: number;
  readonly databaseOid: number;
  /** A standby. */
  readonly inRecovery: boolean;
  /** `server_encoding`: how the database keeps its texts. */
  readonly encoding: string;
  /** `wal_sender_timeout`; 0 is off. */
  readonly senderTimeoutMs: number;
  readonly slot: Slot | undefined;
  readonly publication: Publication | undefined;
  readonly tables: WantedTables;
};

/** For `tailrace doctor`: connects, looks, and answers what it found; never throws for a fault of the database. */
export async function inspectDatabase(
  settings: DatabaseSettings,
  sinks: readonly SinkNames[],
): Promise<Finding[]> {
  const findings: Finding[] = [];
  let primary;
  try {
    primary = await findServer(settings);
  } catch (error) {
    return [faultFinding('connection', error)];
  }
  const { client, target } = primary;
  try {
    findings.push(
      passed(
        'connection',
        `${formatTarget(target)} is ${primary.inRecovery ? 'a standby that is read from' : 'the primary'}`,
      ),
      inspectTls(settings, target),
    );
    const found = await preflight(client, settings, sinks);
    findings.push(...found.findings, ...found.tableFindings);
    findings.push(await inspectReplication(settings, target));
    findings.push(...(await inspectOthers(primary, settings, found)));
    findings.push(...(await inspectBarrier(settings, client)));
    if (primary.inRecovery) findings.push(...(await inspectPrimary(settings)));
  } catch (error) {
    findings.push(faultFinding('connection', connectionFault(error, settings, target)));
  } finally {
    await closeConnection(client);
  }
  return findings;
}

/** Of the primary beside a standby that is read from: does it answer, and may we do there what the standby needs? */
async function inspectPrimary(settings: DatabaseSettings): Promise<readonly Finding[]> {
  const there = primarySettings(settings);
  try {
    const { client, target } = await findPrimary(there);
    try {
      return [
        passed('primary', `${formatTarget(target)} answers`),
        await inspectSnapshotRight(client, there),
        ...inspectNamesake(await readSlot(client, settings.slot.name)),
      ];
    } finally {
      await closeConnection(client);
    }
  } catch (error) {
    return [{ ...faultFinding('primary', error), severity: 'warning' }];
  }
}

/** Looks at the server, the slot, the publication and the tables over an ordinary connection. */
export async function preflight(
  client: Client,
  settings: DatabaseSettings,
  sinks: readonly SinkNames[],
): Promise<Preflight> {
  const server = await readServer(client);
  if (server.serverVersion < OLDEST_VERSION) {
    const tables = {
      named: [],
      states: [],
      open: false,
      existing: [],
      others: [],
      unmatched: [],
      columnFaults: [],
    };
    const nothing = { slot: undefined, publication: undefined, tables, tableFindings: [] };
    return { ...server, ...nothing, findings: [inspectVersion(server)] };
  }
  const slot = await readSlot(client, settings.slot.name);
  const publication = await readPublication(client, settings.publication.name);
  const tables = await readWanted(client, sinks, { settings, publication });
  const findings = [
    inspectVersion(server),
    ...inspectStandbyVersion(server),
    inspectWalLevel(server.walLevel),
    inspectEncoding(server.encoding),
    inspectRole(server, settings),
    ...(await inspectIam(client, settings)),
    slot === undefined
      ? inspectMissingSlot(settings, server.freeSlots)
      : inspectSlot(slot, settings, server.inRecovery),
    inspectPublication(publication, {
      settings,
      making: makingOf(settings, tables),
      mayCreate: server.mayCreate,
    }),
    ...inspectMarkers(server, settings),
    ...inspectStreaming(server.serverVersion, settings),
    await inspectSynchronous(client, applicationName(settings)),
    ...inspectFailover(settings, { serverVersion: server.serverVersion, slotFailover: slot?.failover }),
  ];
  const tableFindings = [
    ...inspectTables(tables, publication, settings),
    ...inspectUnmatched(tables.unmatched),
    ...inspectColumns(tables.columnFaults),
  ];
  return { ...server, slot, publication, tables, findings, tableFindings };
}

type Server = {
  readonly serverVersion: number;
  readonly inRecovery: boolean;
  readonly versionText: string;
  readonly databaseOid: number;
  readonly walLevel: string;
  readonly encoding: string;
  readonly senderTimeoutMs: number;
  readonly mayReplicate: boolean;
  /** CREATE on the database. */
  readonly mayCreate: boolean;
  readonly freeSlots: number;
};

async function readServer(client: Client): Promise<Server> {
  // Managed services grant replication through a role of theirs, which may not exist here.
  const { rows } = await client.query<Server>(
    `select current_setting('server_version_num')::int as "serverVersion",
       current_setting('server_version') as "versionText",
       pg_is_in_recovery() as "inRecovery",
       (select oid::int8::float8 from pg_database where datname = current_database()) as "databaseOid",
       current_setting('wal_level') as "walLevel",
       current_setting('server_encoding') as "encoding",
       (select setting::int from pg_settings where name = 'wal_sender_timeout') as "senderTimeoutMs",
       has_database_privilege(current_database(), 'CREATE') as "mayCreate",
       current_setting('max_replication_slots')::int - (select count(*)::int from pg_replication_slots) as "freeSlots",
       (select r.rolreplication or r.rolsuper or exists (
          select from pg_roles g where g.rolname in ('rds_replication', 'cloudsqlreplica', 'azure_pg_admin')
          and pg_has_role(r.oid, g.oid, 'MEMBER')) from pg_roles r where r.rolname = current_user) as "mayReplicate"`,
  );
  return rows[0]!;
}

const inspectVersion = ({ serverVersion, versionText }: Server): Finding =>
  serverVersion >= OLDEST_VERSION
    ? passed('version', `Postgres ${versionText}`)
    : failed({
        code: 'POSTGRES_TOO_OLD',
        title: 'version',
        detail: `Postgres ${versionText} is older than 13, the oldest that Tailrace reads from`,
        cure: 'upgrade the server: https://www.postgresql.org/docs/current/upgrading.html',
      });

const inspectStandbyVersion = ({ inRecovery, serverVersion, versionText }: Server): Finding[] =>
  !inRecovery || serverVersion >= STANDBYS_DECODE
    ? []
    : [
        failed({
          code: 'STANDBY_TOO_OLD',
          title: 'standby',
          detail: `a standby of Postgres ${versionText} cannot be read from: that came with 16`,
          cure: 'list the primary in databases[].hostname, and take databases[].primary out',
        }),
      ];

/** https://www.postgresql.org/docs/release/14.0/: pgoutput sends logical messages from then on. */
const inspectMarkers = ({ serverVersion }: Server, { markers }: DatabaseSettings): Finding[] =>
  !markers.skip || asksForMessages(serverVersion)
    ? []
    : [
        warned({
          code: 'MARKERS_UNSUPPORTED',
          title: 'markers.skip',
          detail: 'this Postgres does not stream logical messages, so nothing is skipped',
          cure: 'upgrade the server to Postgres 14 or newer, or take markers.skip out of the configuration',
        }),
      ];

const inspectWalLevel = (walLevel: string): Finding =>
  walLevel === 'logical'
    ? passed('wal_level', 'logical')
    : failed({
        code: 'WAL_LEVEL',
        title: 'wal_level',
        detail: `it is ${walLevel}, and changes can be decoded only from logical`,
        cure: "ALTER SYSTEM SET wal_level = 'logical'; and restart Postgres (on Amazon RDS: rds.logical_replication = 1)",
      });

/** https://www.postgresql.org/docs/current/multibyte.html: SQL_ASCII means that nothing is checked or converted. */
const inspectEncoding = (encoding: string): Finding =>
  encoding === 'SQL_ASCII'
    ? warned({
        code: 'ENCODING_UNCHECKED',
        title: 'encoding',
        detail:
          'the database is SQL_ASCII: its texts are read as UTF-8; what is none is replaced, the columns are named in metadata.undecodable_columns, and a row whose key is none becomes a dead letter',
        cure: 'dump it and restore it into a database made with ENCODING UTF8',
      })
    : passed('encoding', encoding);

const inspectRole = (server: Server, settings: DatabaseSettings): Finding => {
  const role = escapeIdentifier(settings.username);
  return server.mayReplicate
    ? passed(`role ${role}`, 'may replicate')
    : failed({
        code: 'REPLICATION_NOT_ALLOWED',
        title: `role ${role}`,
        detail: 'it has no REPLICATION attribute',
        cure: `ALTER ROLE ${role} WITH REPLICATION; (on Amazon RDS: GRANT rds_replication TO ${role};)`,
      });
};

const LOOPBACK = /^(localhost|127\..*|::1|\/.*)$/;

/** A warning for every mode that does not verify who answers, except on this machine. */
export function inspectTls(settings: DatabaseSettings, target: Target): Finding {
  const { mode } = settings.tls;
  if (mode === 'verify-ca' || mode === 'verify-full') return passed('TLS', mode);
  if (LOOPBACK.test(target.host)) return passed('TLS', `${mode}, on this machine`);
  return warned({
    code: 'TLS_UNVERIFIED',
    title: 'TLS',
    detail: `mode ${mode} does not verify that ${target.host} is the database`,
    cure: 'tls: { mode: verify-full, ca: <the certificate authority> }',
  });
}

/** Does a replication connection come through? A pooler swallows or refuses it. */
async function inspectReplication(settings: DatabaseSettings, target: Target): Promise<Finding> {
  const title = 'replication connection';
  let connection: ReplicationConnection | undefined;
  try {
    connection = await connectReplication(settings, target);
    await identifySystem(connection);
    // Slot and publication are made, and changed, on one more connection beside these two.
    await inPlainSession(settings, target, () => Promise.resolve());
    return passed(title, 'opens');
  } catch (error) {
    return faultFinding(title, connectionFault(error, settings, target));
  } finally {
    if (connection !== undefined) await closeConnection(connection.client);
  }
}

function faultFinding(title: string, error: unknown): Finding {
  if (!(error instanceof TailraceError)) throw error;
  return failed({
    code: error.code,
    title,
    detail: error.message,
    ...(error.hint === undefined ? {} : { cure: error.hint }),
  });
}

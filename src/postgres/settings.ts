// How to reach one Postgres database and follow it.
import type { AckPolicy } from '../core/ack.ts';
import type { OnGap } from '../core/gaps.ts';
import type { RetryPolicy } from '../core/retry.ts';

export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** A PEM text, or the file that holds it: read anew for each connection, since certificates are renewed in place. */
export type Pem = string | { readonly from: 'file'; readonly file: string };

export type TlsSettings = {
  readonly mode: TlsMode;
  /** `system`: those that this machine trusts. Undefined: those that Node.js comes with. */
  readonly ca?: Pem | { readonly from: 'system' };
  readonly cert?: Pem;
  readonly key?: Pem;
  readonly keyPassphrase?: string;
  /** `direct`: the TLS handshake first, without asking whether the server speaks it (Postgres 17 and newer). */
  readonly negotiation?: 'postgres' | 'direct';
};

/** Where an IAM token's AWS credentials come from; the SDK's chain where nothing is said. */
export type IamSettings = {
  readonly region?: string;
  readonly profile?: string;
  readonly roleArn?: string;
  readonly externalId?: string;
  readonly useTaskRole: boolean;
};

/** The password itself, or where it is asked for: anew for each connection on which the server wants one. */
export type PasswordSource =
  | string
  | { readonly from: 'file'; readonly file: string }
  | { readonly from: 'command'; readonly argv: readonly string[]; readonly timeoutMs: number }
  | ({ readonly from: 'rds_iam' } & IamSettings)
  /** A password file of libpq's; `otherwise`: the password where it has none that fits. */
  | { readonly from: 'pgpass'; readonly file: string; readonly otherwise: string };

/** How a server may ask who we are, in libpq's words (`require_auth`). `none`: not at all, or by certificate alone. */
export const AUTH_METHODS = ['scram-sha-256', 'md5', 'password', 'none'] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

export type AuthenticationSettings = {
  readonly channelBinding: 'disable' | 'prefer' | 'require';
  /** Undefined: however the server asks. */
  readonly methods?: readonly AuthMethod[];
};

export type { AckPolicy };

/** Where a server is, and who we are there. */
export type ServerPlace = Pick<
  DatabaseSettings,
  'hosts' | 'database' | 'username' | 'password' | 'authentication' | 'tls'
>;

export type DatabaseSettings = {
  readonly name: string;
  /** With this `hosts` are standbys that are read from (16+), and what only a primary takes is done there. */
  readonly primary?: ServerPlace;
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly database: string;
  readonly username: string;
  readonly password: PasswordSource;
  /** Undefined: channel binding is preferred, and the server asks as it likes. */
  readonly authentication?: AuthenticationSettings;
  readonly tls: TlsSettings;
  readonly slot: {
    readonly name: string;
    readonly createIfNotExists: boolean;
    readonly ack: AckPolicy;
    readonly maxRetainedBytes: number;
    /** Standbys are to have it: a failover slot, made so or altered (17+), or one that we keep on each of them (16). */
    readonly failover: boolean;
    /** One that is there is not altered. */
    readonly staysUnaltered?: true;
    /** Have large transactions sent while they are in progress (14+); undefined: each once it is committed. */
    readonly streaming?: {
      /** What of them may wait on our disk. */
      readonly maxSpooledBytes: number;
    };
  };
  readonly publication: {
    readonly name: string;
    readonly createIfNotExists: boolean;
    readonly initSql?: string;
    /** How often to look for tables that were made since; 0: at every connect only. */
    readonly refreshIntervalMs: number;
  };
  /** Nothing is delivered that these servers have not replayed. */
  readonly barrier?: {
    readonly hosts: DatabaseSettings['hosts'];
    /** One that has stood still for so long while something waits for it is passed over; undefined: it is waited for. */
    readonly timeoutMs?: number;
  };
  readonly markers: {
    /** May a transaction be kept from sinks by a message in it? Any role may write such a message. */
    readonly skip: boolean;
  };
  /** Do the sinks that a gap concerns halt until it is accepted? */
  readonly onGap: OnGap;
  /** Names of gaps that somebody has accepted in the configuration (`gapName`). */
  readonly acceptedGaps: readonly string[];
  /** How often a status reply goes to Postgres when nothing else asks for one. */
  readonly statusIntervalMs: number;
  /** A socket silent for this long (with wal_sender_timeout on) is taken for dead. */
  readonly receiveTimeoutMs: number;
  readonly reconnect: RetryPolicy;
  /** 0: for ever. */
  readonly maxConnectionRetries: number;
  /** Handed on in every message's metadata. */
  readonly annotations?: Readonly<Record<string, unknown>>;
};

/** How to reach the primary, where standbys are read from. */
export const primarySettings = ({ primary, ...settings }: DatabaseSettings): DatabaseSettings => ({
  ...settings,
  ...primary,
});

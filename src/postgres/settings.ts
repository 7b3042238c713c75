// How to reach one Postgres database and follow it.
import type { AckPolicy } from '../core/ack.ts';
import type { OnGap } from '../core/gaps.ts';
import type { RetryPolicy } from '../core/retry.ts';

export type TlsMode = 'disable' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

/** Certificates are PEM texts, already read. */
export type TlsSettings = {
  readonly mode: TlsMode;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
};

export type { AckPolicy };

export type DatabaseSettings = {
  readonly name: string;
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly database: string;
  readonly username: string;
  readonly password: string;
  readonly tls: TlsSettings;
  readonly slot: {
    readonly name: string;
    readonly createIfNotExists: boolean;
    readonly ack: AckPolicy;
    readonly maxRetainedBytes: number;
    /** A failover slot, made so or altered, where the server can (17+). */
    readonly failover: boolean;
  };
  readonly publication: {
    readonly name: string;
    readonly createIfNotExists: boolean;
    readonly initSql?: string;
    /** How often to look for tables that were made since; 0: at every connect only. */
    readonly refreshIntervalMs: number;
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

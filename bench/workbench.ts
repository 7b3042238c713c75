// What every scenario works with: a Postgres server, the endpoint, a directory; and that nothing of it stays behind.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../src/cli/demo/embedded-postgres.ts';
import { selfSignedCertificate } from '../test/support/tls.ts';
import { confine, type Confinement, type Limits } from './confinement.ts';
import { startEndpoint, type CertificateFiles, type Endpoint } from './endpoint/endpoint.ts';

/**
 * Many slots hold the same WAL. No vacuum or timed checkpoint falls into one run and not into another. (fsync is off,
 * as always in the embedded server: the load is no part of what is measured.)
 */
const SERVER_SETTINGS = {
  max_replication_slots: '64',
  max_wal_senders: '64',
  max_slot_wal_keep_size: '-1',
  max_wal_size: '64GB',
  checkpoint_timeout: '1d',
  autovacuum: 'off',
};

export type Sizes = {
  /** Runs of each line; the median counts. */
  readonly runs: number;
  /** Changes that a slot holds in `drain` and `log`. */
  readonly changes: number;
  /** Of each paced load. */
  readonly seconds: number;
  readonly hugeRows: number;
  readonly backlogMessages: number;
  /** How long a queue answers nothing in `isolation`. */
  readonly stallSeconds: number;
  readonly growthChanges: number;
  /** Enough that the difference which they make shows beside that of two starts. */
  readonly unwantedChanges: number;
  /** Rows that a table has before it is read. */
  readonly backfillRows: number;
};

/** Of what has sizes of its own. */
export const NO_SIZES: Sizes = {
  runs: 1,
  changes: 0,
  seconds: 0,
  hugeRows: 0,
  backlogMessages: 0,
  stallSeconds: 0,
  growthChanges: 0,
  unwantedChanges: 0,
  backfillRows: 0,
};

export type Database = {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  readonly client: Client;
  /** Ends the connection; drops the slots and the database. */
  drop(): Promise<void>;
};

export type BenchOptions = {
  readonly sizes: Sizes;
  /** Folder for CPU profiles of the service; undefined: none. */
  readonly profile: string | undefined;
  /** Every figure of what is delivered over HTTPS too. */
  readonly tls?: boolean;
  /** Of the service alone. */
  readonly limits?: Limits;
};

type Parts = {
  readonly postgres: EmbeddedPostgres;
  readonly endpoint: Endpoint;
  readonly directory: string;
  /** What the endpoint shows over TLS. */
  readonly certificate: CertificateFiles | undefined;
  readonly confinement: Confinement | undefined;
};

export class Workbench {
  readonly sizes: Sizes;
  readonly profile: string | undefined;
  readonly postgres: EmbeddedPostgres;
  readonly endpoint: Endpoint;
  readonly directory: string;
  /** Where the service runs; undefined: as everybody does. */
  readonly confinement: Confinement | undefined;
  /** What went wrong with the accounting: the bench ends with 1. */
  readonly faults: string[] = [];
  readonly #certificate: CertificateFiles | undefined;
  readonly #kill: Set<() => Promise<unknown>>;
  #databases = 0;
  #isOverTls = false;

  constructor({ sizes, profile }: BenchOptions, parts: Parts, kill: Set<() => Promise<unknown>>) {
    this.sizes = sizes;
    this.profile = profile;
    this.postgres = parts.postgres;
    this.endpoint = parts.endpoint;
    this.directory = parts.directory;
    this.confinement = parts.confinement;
    this.#certificate = parts.certificate;
    this.#kill = kill;
  }

  /** Can clients reach the endpoint over TLS as well? */
  get hasTls(): boolean {
    return this.#certificate !== undefined;
  }

  /** Where a client that starts now finds the endpoint, and what its environment needs so that it trusts it. */
  get destination(): { readonly url: string; readonly env: Readonly<Record<string, string>> } {
    if (!this.#isOverTls) return { url: this.endpoint.url, env: {} };
    return { url: this.endpoint.tlsUrl!, env: { NODE_EXTRA_CA_CERTS: this.#certificate!.cert } };
  }

  /** Clients that `work` starts reach the endpoint over TLS. */
  async overTls<T>(work: () => Promise<T>): Promise<T> {
    this.#isOverTls = true;
    try {
      return await work();
    } finally {
      this.#isOverTls = false;
    }
  }

  /** Says on standard error how far things are. */
  progress(text: string): void {
    process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
  }

  fault(text: string): void {
    this.faults.push(text);
    this.progress(`FAULT: ${text}`);
  }

  /** Has `stop` called when the bench ends early; returns what takes it back. */
  onEnd(stop: () => Promise<unknown>): () => void {
    this.#kill.add(stop);
    return () => void this.#kill.delete(stop);
  }

  /** A directory that the bench's end removes at the latest. */
  newDirectory(): { path: string; remove(): void } {
    const path = mkdtempSync(join(this.directory, 'run-'));
    return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
  }

  async connect(url: string): Promise<Client> {
    const client = new Client({ connectionString: url });
    // A server that the bench's end stops also ends this connection.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async newDatabase(): Promise<Database> {
    const name = `bench_${++this.#databases}`;
    const admin = await this.connect(this.postgres.url());
    await admin.query(`create database ${name}`);
    const url = this.postgres.url(name);
    const client = await this.connect(url);
    const drop = async (): Promise<void> => {
      await client.query(
        'select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1',
        [name],
      );
      await client.end();
      await admin.query(`drop database ${name} with (force)`);
      await admin.query('checkpoint'); // gives back the WAL that the slots held
      await admin.end();
    };
    return { name, port: this.postgres.port, url, client, drop };
  }
}

/** Runs `work` on a new workbench and clears everything away, also after a failure or Ctrl-C (which then ends the process). */
export async function withWorkbench<T>(
  options: BenchOptions,
  work: (bench: Workbench) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-bench-'));
  const kill = new Set<() => Promise<unknown>>();
  let clearing: Promise<void> | undefined;
  const clear = (): Promise<void> =>
    (clearing ??= (async () => {
      // Latest first: what reads ends before what it reads from.
      for (const stop of [...kill].toReversed()) await stop().catch(() => undefined);
      rmSync(directory, { recursive: true, force: true });
    })());
  let interrupted = false;
  const interrupt = (signal: NodeJS.Signals): void => {
    process.stderr.write(`${signal}: clearing away\n`);
    interrupted = true;
    void clear().finally(() => process.exit(130));
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const postgres = await startEmbeddedPostgres({ detached: true, settings: SERVER_SETTINGS });
    kill.add(() => postgres.remove());
    const certificate = options.tls === true ? certificateIn(directory) : undefined;
    const endpoint = await startEndpoint(certificate);
    kill.add(() => endpoint.stop());
    const confinement = options.limits === undefined ? undefined : confine(options.limits);
    // After what runs in it, which is among those that end earlier.
    if (confinement !== undefined) kill.add(() => Promise.resolve(confinement.remove()));
    const parts = { postgres, endpoint, directory, certificate, confinement };
    return await work(new Workbench(options, parts, kill));
  } finally {
    await clear();
    // What the work says of parts that were taken from it is of no interest.
    if (interrupted) await new Promise(() => undefined);
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}

function certificateIn(directory: string): CertificateFiles {
  const files = { cert: join(directory, 'endpoint.pem'), key: join(directory, 'endpoint.key') };
  const { cert, key } = selfSignedCertificate();
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key);
  return files;
}

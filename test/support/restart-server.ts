// A real server of its own for one sequence of restarts, copied from one that was made once: it crashes, is copied and is restored.
import { execFile } from 'node:child_process';
import { cp, rm, writeFile } from 'node:fs/promises';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Client } from 'pg';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { connect } from './postgres.ts';
import { createAuditedTables } from './restart-audit.ts';
import { waitFor } from './wait.ts';

const copyDirectory = (from: string, to: string): Promise<unknown> =>
  promisify(execFile)('cp', ['-a', from, to]);

let template: Promise<string> | undefined;

/** The directory of a cluster that is stopped, with the audited tables in it. */
async function makeTemplate(): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), 'tailrace-template-'));
  const server = await startEmbeddedPostgres();
  try {
    const client = await connect(server.url());
    await createAuditedTables(client);
    await client.end();
    await server.stop('fast');
    await copyDirectory(server.directory, join(root, 'data'));
  } finally {
    await server.remove();
  }
  return join(root, 'data');
}

/** Once no test needs it any more. */
export async function removeTemplate(): Promise<void> {
  if (template !== undefined) await rm(dirname(await template), { recursive: true, force: true });
  template = undefined;
}

export class RestartServer {
  readonly #postgres: EmbeddedPostgres;
  #client: Client | undefined;

  private constructor(postgres: EmbeddedPostgres) {
    this.#postgres = postgres;
  }

  static async open(): Promise<RestartServer> {
    const copyOf = await (template ??= makeTemplate());
    const settings = { wal_sender_timeout: '10s', max_connections: '30', shared_buffers: '16MB' };
    return new RestartServer(await startEmbeddedPostgres({ settings, copyOf }));
  }

  get port(): number {
    return this.#postgres.port;
  }

  /** A connection of one's own; rejects while the server is away. */
  connect(): Promise<Client> {
    return connect(this.#postgres.url());
  }

  /** A connection that works; waits for the server to be there. */
  async client(): Promise<Client> {
    return waitFor(async () => {
      try {
        this.#client ??= await this.connect();
        await this.#client.query('select 1');
        return this.#client;
      } catch {
        await this.#client?.end().catch(() => undefined);
        this.#client = undefined;
        return undefined;
      }
    }, 'the server to take connections');
  }

  async query(sql: string): Promise<void> {
    await (await this.client()).query(sql);
  }

  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#client?.end().catch(() => undefined);
    this.#client = undefined;
    await this.#postgres.stop(mode);
  }
  start(): Promise<void> {
    return this.#postgres.start();
  }

  async copy(): Promise<void> {
    await this.stop('fast');
    await rm(this.#copy, { recursive: true, force: true });
    await copyDirectory(this.#postgres.directory, this.#copy);
    await this.start();
  }

  /** From the last copy, if there is one. `promoted`: on a timeline of its own, as after a recovery from an archive. */
  async restore({ promoted }: { readonly promoted: boolean }): Promise<void> {
    if (!existsSync(this.#copy)) return;
    const { directory } = this.#postgres;
    await this.stop('immediate');
    await rm(directory, { recursive: true });
    await copyDirectory(this.#copy, directory);
    if (promoted) await writeFile(join(directory, 'standby.signal'), '', { mode: 0o644 });
    await this.start();
    if (promoted) await this.query('select pg_promote()');
  }
  get #copy(): string {
    return join(dirname(this.#postgres.directory), 'copy');
  }

  /** For a look at what went wrong. */
  async keep(to: string): Promise<void> {
    await cp(this.#postgres.directory, to, { recursive: true });
  }

  async remove(): Promise<void> {
    await this.#client?.end().catch(() => undefined);
    await this.#postgres.remove();
  }
}

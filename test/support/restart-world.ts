// The real service and a real server of its own, for whatever an operator, a crash or a power cut does to them in turn.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Client } from 'pg';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/cli/demo/embedded-postgres.ts';
import { configText } from './config.ts';
import { connect } from './postgres.ts';
import { DiskRecord } from './power-cut-disk.ts';
import { POWER_CUT_DIRECTORY, recordOf } from './power-cut.ts';
import { PullClient } from './pull-workers.ts';
import { AUDITED, AUDITED_SINKS, createAuditedTables, RestartAudit, writeAudited } from './restart-audit.ts';
import { createWorkDirectory, startService, type ServiceProcess } from './service.ts';
import { startSqsRecorder, type SqsRecorder } from './sqs-recorder.ts';
import { waitFor } from './wait.ts';
import { startWebhookServer, type WebhookServer } from './webhook-server.ts';

const POWER_CUT = resolve(import.meta.dirname, 'power-cut.ts');
const WRITE_EVERY_MS = 15;
const DATABASE = 'shop';
const SLOT = 'tailrace';

type Change = { readonly record: { readonly id: number } };

export type RestartWorldOptions = {
  readonly random: () => number;
  readonly ack: string;
  /** Does the disk forget what was not synced, so that `cutPower` can be called? */
  readonly forgetfulDisk: boolean;
};

export class RealRestartWorld {
  readonly audit = new RestartAudit();
  readonly story: string[] = [];
  readonly #options: RestartWorldOptions;
  readonly #work = createWorkDirectory();
  readonly #stopping = new AbortController();
  #postgres!: EmbeddedPostgres;
  #recorder!: SqsRecorder;
  #hook!: WebhookServer;
  #client: Client | undefined;
  #service: ServiceProcess | undefined;
  #loads: Promise<void>[] = [];
  #isWriting = true;
  #lastId = 0;
  publication = 'pub_first';
  #moves = 0;

  constructor(options: RestartWorldOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    this.#postgres = await startEmbeddedPostgres({
      settings: { wal_sender_timeout: '10s', max_connections: '30' },
    });
    this.#recorder = await startSqsRecorder({ createMissing: true });
    this.#recorder.onMessage = ({ body }) => this.#received('queue', body);
    this.#hook = await startWebhookServer();
    this.#hook.decide = ({ messages }) => {
      for (const message of messages) this.#received('hook', message);
      return undefined;
    };
    await createAuditedTables(await this.client());
    this.start();
    await this.#service!.ready();
    this.#loads = [this.#write(), this.#pull()];
  }

  #received(sink: 'queue' | 'hook', body: string): void {
    this.audit.received(sink, (JSON.parse(body) as Change).record.id);
  }

  get #data(): string {
    return join(this.#work.path, 'data');
  }
  get service(): ServiceProcess | undefined {
    return this.#service;
  }
  get lastId(): number {
    return this.#lastId;
  }
  get moves(): number {
    return this.#moves;
  }

  tell(what: string): void {
    this.story.push(what);
  }

  /** A connection that works; waits for the server to be there. */
  async client(): Promise<Client> {
    return waitFor(async () => {
      try {
        this.#client ??= await connect(this.#postgres.url());
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

  async #write(): Promise<void> {
    const { random } = this.#options;
    let client: Client | undefined;
    while (!this.#stopping.signal.aborted) {
      if (this.#isWriting) {
        try {
          client ??= await connect(this.#postgres.url());
          await this.#commit(
            client,
            AUDITED[Math.floor(random() * AUDITED.length)]!,
            1 + Math.floor(random() * 6),
          );
        } catch {
          // The server is away, or the table is: what became of it, its own record says.
          await client?.end().catch(() => undefined);
          client = undefined;
        }
      }
      await new Promise((done) => setTimeout(done, WRITE_EVERY_MS));
    }
    await client?.end().catch(() => undefined);
  }

  async #commit(client: Client, table: string, count: number): Promise<void> {
    const ids = Array.from({ length: count }, () => ++this.#lastId);
    await writeAudited(client, { table, ids, publication: this.publication });
  }

  /** One row of each table that nothing explains the lack of: every sink has to get it. Answers the ids, by table. */
  async probe(): Promise<ReadonlyMap<string, number>> {
    const probes = new Map<string, number>();
    for (const table of AUDITED) {
      await this.#commit(await this.client(), table, 1);
      probes.set(table, this.#lastId);
    }
    return probes;
  }

  /** Until then the load goes on. */
  async stopWriting(): Promise<void> {
    this.#isWriting = false;
    await new Promise((done) => setTimeout(done, 10 * WRITE_EVERY_MS));
  }

  async #pull(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        const service = this.#service;
        if (service === undefined || hasEnded(service)) throw new Error('down');
        const client = new PullClient(await service.apiUrl(), 'stream');
        const messages = await client.receive({ batchSize: 20, waitFor: '1s' }, signal);
        for (const { data } of messages) this.audit.received('stream', Number(data.record['id']));
        await client.ack(...messages);
      } catch {
        await new Promise((done) => setTimeout(done, 50));
      }
    }
  }

  #config(): string {
    return configText({
      database: { name: 'postgres', host: '127.0.0.1', port: this.#postgres.port } as never,
      endpoint: this.#recorder.url,
      slot: `ack: ${this.#options.ack}`,
      publication: 'refresh_interval: 300ms',
      sinks: [
        { name: 'queue', tables: AUDITED_SINKS.queue },
        { name: 'hook', tables: AUDITED_SINKS.hook, to: `type: webhook\nurl: ${this.#hook.url}` },
        {
          name: 'stream',
          tables: AUDITED_SINKS.stream,
          type: 'sequin_stream',
          destination: 'visibility_timeout_ms: 5000',
        },
      ],
    })
      .replace('name: postgres\n      create_if', `name: ${SLOT}\n      create_if`)
      .replace('publication: { name: postgres', `publication: { name: ${this.publication}`);
  }

  /** Starts the service, unless it runs. */
  start(): void {
    if (this.#service !== undefined && !hasEnded(this.#service)) return;
    mkdirSync(this.#data, { recursive: true });
    const forgets = this.#options.forgetfulDisk;
    this.#service = startService({
      config: this.#config(),
      directory: this.#work.path,
      ...(forgets && { nodeArgs: ['--import', POWER_CUT], env: { [POWER_CUT_DIRECTORY]: this.#data } }),
    });
  }

  async kill(): Promise<void> {
    await this.#note();
    if (this.#service !== undefined && !hasEnded(this.#service)) await this.#service.kill();
    await this.#noteLines();
  }
  async stop(): Promise<void> {
    await this.#note();
    if (this.#service !== undefined && !hasEnded(this.#service)) await this.#service.stop();
    await this.#noteLines();
  }
  async down(): Promise<void> {
    await (this.#options.random() < 0.5 ? this.kill() : this.stop());
  }

  async cutPower(): Promise<void> {
    await this.kill();
    new DiskRecord(this.#data, recordOf(this.#data)).cut(
      this.#options.random() < 0.5 ? undefined : this.#options.random,
    );
  }

  /** With the service down: what is there by other hands is there. */
  touch(change: (data: string) => void): void {
    rmSync(recordOf(this.#data), { recursive: true, force: true });
    change(this.#data);
  }

  moveLogAway(): void {
    this.touch((data) => {
      const log = join(data, `log/${DATABASE}`);
      if (existsSync(log)) renameSync(log, `${log}.moved-${++this.#moves}`);
    });
  }

  copyData(): void {
    const backup = join(this.#work.path, 'backup');
    rmSync(backup, { recursive: true, force: true });
    cpSync(this.#data, backup, { recursive: true });
  }
  putDataBack(): void {
    const backup = join(this.#work.path, 'backup');
    if (!existsSync(backup)) return;
    this.touch((data) => {
      rmSync(data, { recursive: true });
      cpSync(backup, data, { recursive: true });
    });
  }

  async stopServer(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#client?.end().catch(() => undefined);
    this.#client = undefined;
    await this.#postgres.stop(mode);
  }
  startServer(): Promise<void> {
    return this.#postgres.start();
  }

  async copyServer(): Promise<void> {
    await this.stopServer('fast');
    rmSync(this.#serverCopy, { recursive: true, force: true });
    execFileSync('cp', ['-a', this.#postgres.directory, this.#serverCopy]);
    await this.startServer();
  }
  /** `promoted`: on a timeline of its own, as after a recovery from an archive. */
  async restoreServer({ promoted }: { readonly promoted: boolean }): Promise<void> {
    if (!existsSync(this.#serverCopy)) return;
    const { directory } = this.#postgres;
    await this.stopServer('immediate');
    rmSync(directory, { recursive: true });
    execFileSync('cp', ['-a', this.#serverCopy, directory]);
    if (promoted) writeFileSync(join(directory, 'standby.signal'), '', { mode: 0o644 });
    await this.startServer();
    if (promoted) await this.query('select pg_promote()');
  }
  get #serverCopy(): string {
    return join(dirname(this.#postgres.directory), 'copy');
  }

  /** Takes down every gap that the running service knows of. */
  async #note(): Promise<void> {
    const service = this.#service;
    if (service === undefined || hasEnded(service)) return;
    try {
      const url = await service.apiUrl();
      for (const gap of await this.#gapsAt(url)) this.audit.declared(`id ${gap.id}`, { ...gap, sink: null });
      const { sinks } = await service.health();
      for (const { name, gaps } of sinks) {
        for (const { from, to, reason } of gaps)
          this.audit.declared(name, { from, to, reason, tables: null, sink: name });
      }
    } catch {
      // It is going, or not there yet: its log lines tell.
    }
  }

  async #gapsAt(url: string) {
    type Listed = {
      id: number;
      from: string;
      to: string | null;
      tables: string[] | null;
      reason: string;
      accepted_at: string | null;
    };
    const reply = await fetch(`${url}/api/databases/${DATABASE}/gaps?limit=1000`);
    return ((await reply.json()) as { gaps: Listed[] }).gaps;
  }

  /** What its log said of gaps: of the database with tables, of a sink without. */
  async #noteLines(): Promise<void> {
    for (const { msg, ...entry } of this.#service?.log ?? []) {
      const { from, to, reason, sink, tables } = entry as Record<string, unknown>;
      if (typeof from !== 'string' || !/^a gap: |misses changes/.test(msg ?? '')) continue;
      // Where it had no end yet, `#note` has taken down the end.
      if (typeof to !== 'string') continue;
      const named = (tables as { schema: string; table: string }[] | undefined)?.map(
        (name) => `${name.schema}.${name.table}`,
      );
      this.audit.declared('line', {
        from,
        to,
        reason: String(reason),
        tables: named ?? null,
        sink: typeof sink === 'string' ? sink : null,
      });
    }
  }

  /** Accepts every gap. */
  async acceptGaps(): Promise<void> {
    const service = this.#service;
    if (service === undefined || hasEnded(service)) return;
    const url = await service.apiUrl();
    for (const gap of await this.#gapsAt(url)) {
      if (gap.accepted_at !== null) continue;
      await fetch(`${url}/api/databases/${DATABASE}/gaps/${gap.id}/accept`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
      });
    }
    await this.#note();
  }

  /** The code with which the service has ended; undefined: it runs. */
  endedWith(): string | undefined {
    const service = this.#service;
    if (service === undefined || !hasEnded(service)) return undefined;
    const fatal = service.log.findLast(({ level }) => level === 'fatal');
    const error = fatal?.['err'] as { code?: string; message?: string } | undefined;
    return `${error?.code ?? ''} ${fatal?.msg ?? service.printed.slice(-5).join(' ')}`;
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    if (this.#service !== undefined && !hasEnded(this.#service)) await this.#service.kill();
    await Promise.all(this.#loads);
    await this.#client?.end().catch(() => undefined);
    await this.#postgres?.remove();
    await this.#recorder?.stop();
    await this.#hook?.stop();
    rmSync(recordOf(this.#data), { recursive: true, force: true });
    this.#work.remove();
  }
}

const hasEnded = ({ child }: ServiceProcess): boolean => child.exitCode !== null || child.signalCode !== null;

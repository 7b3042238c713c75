// The real service and a real server of its own, for whatever an operator, a crash or a power cut does to them in turn.
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Client } from 'pg';
import { steadyMs } from '../../src/core/clock.ts';
import { configText } from './config.ts';
import { DiskRecord } from './power-cut-disk.ts';
import { POWER_CUT_DIRECTORY, recordOf } from './power-cut.ts';
import { PullClient } from './pull-workers.ts';
import { AUDITED, AUDITED_SINKS, RestartAudit, writeAudited } from './restart-audit.ts';
import { acceptAllGaps, noteGaps, noteLines } from './restart-declared.ts';
import { RestartServer } from './restart-server.ts';
import { createWorkDirectory, startService, type ServiceProcess } from './service.ts';
import { startSqsRecorder, type SqsRecorder } from './sqs-recorder.ts';
import { waitFor } from './wait.ts';
import { startWebhookServer, type WebhookServer } from './webhook-server.ts';

const POWER_CUT = resolve(import.meta.dirname, 'power-cut.ts');
const FULL_DISK = resolve(import.meta.dirname, 'full-disk.ts');
const WILD_CLOCK = resolve(import.meta.dirname, 'jumping-clock.ts');
const WRITE_EVERY_MS = 15;
const DATABASE = 'shop';
/** Where Node keeps what it has compiled: a service starts in half the time. */
const COMPILE_CACHE = resolve(import.meta.dirname, '../../node_modules/.cache/tailrace-compiled');
export const SLOT = 'tailrace';

type Change = { readonly record: { readonly id: number } };

export type RestartWorldOptions = {
  /** What is done, and when. */
  readonly random: () => number;
  /** What is written meanwhile: of its own, so that the same is done whatever the load. */
  readonly loadRandom: () => number;
  readonly ack: string;
  /** Does the disk forget what was not synced, so that `cutPower` can be called? */
  readonly forgetfulDisk: boolean;
};

export class RealRestartWorld {
  readonly audit = new RestartAudit();
  readonly story: string[] = [];
  readonly #openedMs = steadyMs();
  readonly #options: RestartWorldOptions;
  readonly #work = createWorkDirectory();
  readonly #stopping = new AbortController();
  #recorder!: SqsRecorder;
  #hook!: WebhookServer;
  server!: RestartServer;
  #service: ServiceProcess | undefined;
  readonly #services: ServiceProcess[] = [];
  #loads: Promise<void>[] = [];
  #isWriting = true;
  #lastId = 0;
  publication = 'pub_first';
  /** Of the services that start from now on. */
  isClockWild = false;
  #moves = 0;

  constructor(options: RestartWorldOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    this.server = await RestartServer.open();
    this.#recorder = await startSqsRecorder({ createMissing: true });
    this.#recorder.onMessage = ({ body }) => this.#received('queue', body);
    this.#hook = await startWebhookServer();
    this.#hook.decide = ({ messages }) => {
      for (const message of messages) this.#received('hook', message);
      return undefined;
    };
    this.start();
    // Before a sink has begun nothing is due to it, wherever it will begin.
    await this.#begun();
    this.#loads = [this.#write(), this.#pull()];
  }

  async #begun(): Promise<void> {
    const service = this.#service!;
    await service.ready();
    await waitFor(
      async () => (await service.health()).sinks.every(({ state }) => state === 'running'),
      'every sink to run',
    );
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

  tell(what: string): void {
    this.story.push(`${String(Math.round(steadyMs() - this.#openedMs)).padStart(6)} ms ${what}`);
  }

  async #write(): Promise<void> {
    const random = this.#options.loadRandom;
    let client: Client | undefined;
    while (!this.#stopping.signal.aborted) {
      if (this.#isWriting) {
        try {
          client ??= await this.server.connect();
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
      await this.#commit(await this.server.client(), table, 1);
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
      database: { name: 'postgres', host: '127.0.0.1', port: this.server.port },
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
          destination: 'visibility_timeout_ms: 1000',
        },
      ],
    })
      .replace('name: postgres\n      create_if', `name: ${SLOT}\n      create_if`)
      .replace('publication: { name: postgres', `publication: { name: ${this.publication}`);
  }

  get #fullDisk(): string {
    return join(this.#work.path, 'disk-is-full');
  }
  fillDisk(full: boolean): void {
    if (full) writeFileSync(this.#fullDisk, '');
    else rmSync(this.#fullDisk);
  }

  /** Starts the service, unless it runs. */
  start(): void {
    if (this.#service !== undefined && !hasEnded(this.#service)) return;
    mkdirSync(this.#data, { recursive: true });
    const forgets = this.#options.forgetfulDisk;
    const loaded = [...(forgets ? [POWER_CUT] : []), FULL_DISK, ...(this.isClockWild ? [WILD_CLOCK] : [])];
    this.#service = startService({
      config: this.#config(),
      directory: this.#work.path,
      nodeArgs: loaded.flatMap((file) => ['--import', file]),
      env: {
        NODE_COMPILE_CACHE: COMPILE_CACHE,
        FULL_DISK: this.#fullDisk,
        ...(forgets && { [POWER_CUT_DIRECTORY]: this.#data }),
      },
    });
    this.#services.push(this.#service);
  }

  /** Waits until the service streams, or cannot; where there is none, for nothing. */
  async streaming(): Promise<void> {
    const service = this.#service;
    if (service === undefined || hasEnded(service)) return;
    const begun = async (): Promise<boolean> => {
      const { databases } = await service.health();
      return databases.every(({ state }) => state !== 'connecting');
    };
    await waitFor(() => hasEnded(service) || begun().catch(() => hasEnded(service)), 'the service to stream');
  }

  async kill(): Promise<void> {
    await this.#note();
    if (this.#service !== undefined && !hasEnded(this.#service)) await this.#service.kill();
    this.#noteLines();
  }
  async stop(): Promise<void> {
    await this.#note();
    if (this.#service !== undefined && !hasEnded(this.#service)) await this.#service.stop();
    this.#noteLines();
  }
  async down(): Promise<void> {
    await (this.#options.random() < 0.5 ? this.kill() : this.stop());
  }

  async cutPower(): Promise<void> {
    await this.kill();
    // Killed before it wrote anything: nothing is to be lost.
    if (!existsSync(recordOf(this.#data))) return;
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

  /** Takes down every gap that the running service knows of. */
  async #note(): Promise<void> {
    const service = this.#service;
    if (service === undefined || hasEnded(service) || !service.log.some(({ msg }) => msg === 'api listens'))
      return;
    // It is going: its log lines tell.
    await noteGaps(service, this.audit, () => this.#lastId).catch(() => undefined);
  }
  #noteLines(): void {
    if (this.#service !== undefined) noteLines(this.#service, this.audit, this.#lastId);
  }

  /** Accepts every gap. */
  async acceptGaps(): Promise<void> {
    const service = this.#service;
    if (service === undefined || hasEnded(service)) return;
    await acceptAllGaps(service);
    await this.#note();
  }

  /** The code with which the service has ended; undefined: it runs. */
  endedWith(): string | undefined {
    const service = this.#service;
    if (service === undefined || !hasEnded(service)) return undefined;
    const fatal = service.log.findLast(({ level }) => level === 'fatal');
    const error = fatal?.['err'] as { code?: string; message?: string } | undefined;
    return `${error?.code ?? ''} ${error?.message ?? service.printed.slice(-5).join(' ')}`;
  }

  /** For a look at what went wrong: what every service said, and what is on the disks. */
  async keep(directory: string): Promise<void> {
    mkdirSync(directory, { recursive: true });
    for (const [i, { log, printed }] of this.#services.entries()) {
      const lines = [...log.map((entry) => JSON.stringify(entry)), ...printed];
      writeFileSync(join(directory, `service-${i}.log`), lines.join('\n'));
    }
    cpSync(this.#work.path, join(directory, 'work'), { recursive: true });
    const { rows } = await (await this.server.client()).query('select * from audit order by id');
    writeFileSync(join(directory, 'audit'), rows.map((row) => JSON.stringify(row)).join('\n'));
    const got = this.audit.describeReceived();
    writeFileSync(join(directory, 'received'), got);
    await this.server.stop('fast');
    await this.server.keep(join(directory, 'server'));
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    if (this.#service !== undefined && !hasEnded(this.#service)) await this.#service.kill();
    await Promise.all(this.#loads);
    await this.server?.remove();
    await this.#recorder?.stop();
    await this.#hook?.stop();
    rmSync(recordOf(this.#data), { recursive: true, force: true });
    this.#work.remove();
  }
}

const hasEnded = ({ child }: ServiceProcess): boolean => child.exitCode !== null || child.signalCode !== null;

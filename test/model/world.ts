// A world in which restarts happen: a pretended server, a directory, the lives of a service, and what an operator, a crash or a
// power cut does to them. A sequence is run to its end, brought to rest, and accounted for.
import { watchDisk, recordOf, type WatchedDisk } from '../support/power-cut.ts';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeDirectory } from '../../src/data-directory/directory.ts';
import { openStore, type Store } from '../../src/store/sqlite.ts';
import { seededRandom } from '../support/workload.ts';
import { Accounting } from './accounting.ts';
import { ModelProcess } from './process.ts';
import type { ModelSinkSettings } from './process-options.ts';
import { PretendedServer } from './server.ts';
import { NOISE, PUBLICATIONS, TABLES, type Transaction } from './server-state.ts';

const PUBLICATION_ACTIONS = [
  'publication dropped',
  'publication remade',
  'publication narrowed',
  'publication narrowed and restored',
  'table taken out',
  'table taken out and put in',
  'table remade',
] as const;
const SERVER_ACTIONS = [
  'server crashed',
  'server restarted',
  'server restored',
  'server recovered to a point',
  'failover to a level standby',
  'failover to a standby behind',
  'failover without the slot',
] as const;
const OTHER_ACTIONS = [
  'go on',
  'kill',
  'stop',
  'power cut',
  'connection lost',
  'log moved away',
  'ledger deleted',
  'store deleted',
  'directory copied',
  'directory put back',
  'slot dropped',
  'slot remade',
  'slot advanced',
  'options changed',
  'server checkpoint',
  'server copied',
  'clock moved',
  'gaps accepted',
] as const;
export const ACTIONS = [...OTHER_ACTIONS, ...PUBLICATION_ACTIONS, ...SERVER_ACTIONS] as const;
type PublicationAction = (typeof PUBLICATION_ACTIONS)[number];
type ServerAction = (typeof SERVER_ACTIONS)[number];
export type Action = (typeof ACTIONS)[number];

const isPublicationAction = (action: Action): action is PublicationAction =>
  PUBLICATION_ACTIONS.some((known) => known === action);
const isServerAction = (action: Action): action is ServerAction =>
  SERVER_ACTIONS.some((known) => known === action);

/** What happens, after some traffic: `seed` says which. */
export type Step = { readonly action: Action; readonly seed: number };
export type Sequence = {
  readonly steps: readonly Step[];
  readonly ack: 'auto' | 'delivered' | 'durable';
  readonly version: 17 | 18;
  /** Nothing is excused that is known to be lost. */
  readonly strict?: boolean;
};

/** Nothing of that can cost a change, and so nothing may be declared. */
export const HARMLESS: ReadonlySet<Action> = new Set<Action>([
  'go on',
  'kill',
  'stop',
  'power cut',
  'connection lost',
  'directory copied',
  'server crashed',
  'server restarted',
  'server checkpoint',
  'server copied',
  'clock moved',
  'gaps accepted',
]);

const table = (name: string) => ({ schema: ['public'], table: [name] });
const SINKS: readonly ModelSinkSettings[] = [
  { name: 'fifo', selection: { includeTables: TABLES.map(table) } },
  { name: 'standard', selection: { includeTables: [table('a')] } },
  { name: 'pull', selection: { includeTables: [table('a'), table('b')] } },
];
const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const MAX_ROUNDS = 12;

let emptyStore: string | undefined;

/** Made once: to make its tables takes longer than a life of the model. */
function copyEmptyStore(to: string): void {
  if (emptyStore === undefined) {
    emptyStore = join(mkdtempSync(join(SCRATCH, 'tailrace-model-store-')), 'store.db');
    openStore(emptyStore).close();
  }
  cpSync(emptyStore, to);
}
export function removeEmptyStore(): void {
  if (emptyStore !== undefined) rmSync(join(emptyStore, '..'), { recursive: true });
  emptyStore = undefined;
}

export class RestartWorld {
  readonly #sequence: Sequence;
  readonly #root = mkdtempSync(join(SCRATCH, 'tailrace-model-'));
  readonly #server: PretendedServer;
  readonly accounting: Accounting;
  readonly #watches: boolean;
  #disk: WatchedDisk | undefined;
  #store: Store;
  #process: ModelProcess | undefined;
  #publication: string = PUBLICATIONS[0];
  /** The history that the service last streamed from. */
  #metHistory = 1;
  #serverCopy: ReturnType<PretendedServer['copy']> | undefined;
  #random = seededRandom(0);
  /** What happened, for a failure to tell. */
  readonly story: string[] = [];

  constructor(sequence: Sequence) {
    this.#sequence = sequence;
    this.#watches = sequence.steps.some(({ action }) => action === 'power cut');
    this.#server = new PretendedServer(sequence.version);
    this.accounting = new Accounting(this.#server, SINKS, { strict: sequence.strict ?? false });
    mkdirSync(this.#data);
    copyEmptyStore(this.#storeFile);
    this.#store = openStore(this.#storeFile);
    this.#watch();
  }

  get #data(): string {
    return join(this.#root, 'data');
  }
  get #ledgers(): string {
    return join(this.#data, 'ledger');
  }
  get #log(): string {
    return join(this.#data, 'log');
  }
  get #storeFile(): string {
    return join(this.#root, 'store.db');
  }

  #watch(): void {
    if (this.#watches) this.#disk = watchDisk(this.#data);
  }
  #unwatch(): void {
    this.#disk?.unwatch();
    this.#disk = undefined;
    rmSync(recordOf(this.#data), { recursive: true, force: true });
  }

  /** Runs all of it. Answers what is wrong; undefined: nothing. */
  async run(): Promise<string | undefined> {
    try {
      await this.#start();
      for (const { action, seed } of this.#sequence.steps) {
        this.#random = seededRandom(seed);
        await this.#traffic();
        this.#tell(`-- ${action}`);
        await this.#act(action);
      }
      await this.#rest();
      const { faults } = this.accounting;
      this.#checkHarmless();
      return faults.length === 0 ? undefined : this.#describe();
    } catch (error) {
      return `${(error as Error).stack}\n${this.#describe()}`;
    } finally {
      await this.#end({ killed: true }).catch(() => undefined);
      this.#store.close();
      this.#unwatch();
      rmSync(this.#root, { recursive: true, force: true });
    }
  }

  #describe(): string {
    return `${this.accounting.describe()}\n${this.story.join('\n')}`;
  }

  #tell(what: string): void {
    const { slot, timeline, walEnd, history } = this.#server.state;
    const { fatal, waits, isStreaming } = this.#process ?? {};
    const state = this.#process === undefined ? 'down' : isStreaming ? 'streams' : (fatal ?? waits)?.message;
    this.story.push(
      `${what}: history ${history}, timeline ${timeline}, WAL end ${walEnd}, slot ${slot?.confirmed}; ${state}`,
    );
  }

  #checkHarmless(): void {
    const { gaps, faults } = this.accounting;
    if (this.#sequence.steps.every(({ action }) => HARMLESS.has(action)) && gaps.length > 0) {
      faults.push('a gap was declared though nothing could be missing');
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  async #start(): Promise<void> {
    await makeDirectory(this.#log);
    await makeDirectory(this.#ledgers);
    this.#process ??= new ModelProcess({
      server: this.#server,
      store: this.#store,
      logDirectory: this.#log,
      ledgerDirectory: this.#ledgers,
      sinks: SINKS,
      publication: this.#publication,
      ack: this.#sequence.ack,
      watcherOf: (sink) => this.accounting.watcherOf(sink),
      confirms: (lsn) => {
        this.accounting.confirms(lsn, {
          store: this.#store,
          durable: this.#sequence.ack !== 'delivered',
          publication: this.#publication,
        });
      },
      logOpened: (lastCommitLsn) => this.accounting.logOpened(lastCommitLsn),
      logged: (ids) => this.accounting.logged(ids),
      logSynced: () => this.accounting.logSynced(),
      epochChanged: (end) => this.accounting.epochChanged(end),
      looked: () => this.accounting.looked(this.#store),
    });
    await this.#process.connect();
    if (this.#process.isStreaming) this.#metHistory = this.#server.state.history;
    if (this.#server.state.slot !== undefined) this.accounting.countedFrom ??= this.#server.world.commits;
    this.accounting.note(this.#store);
  }

  async #end(how: { readonly killed: boolean }): Promise<void> {
    const ending = this.#process;
    this.#process = undefined;
    await ending?.end(how);
    this.accounting.note(this.#store);
  }

  #commit(): Transaction {
    const rows = Array.from({ length: 1 + this.#below(4) }, () => ({
      table: this.#random() < 0.15 ? NOISE : TABLES[this.#below(TABLES.length)]!,
      key: this.#below(4),
    }));
    const transaction = this.#server.commit(rows, this.#random() < 0.2);
    this.accounting.committed(transaction);
    return transaction;
  }

  async #traffic(): Promise<void> {
    // It may stay as it is for a while.
    if (this.#random() < 0.8) await this.#start();
    for (let turns = 2 + this.#below(8); turns > 0; turns--) await this.#turn();
    this.accounting.note(this.#store);
  }

  async #turn(): Promise<void> {
    const process = this.#process;
    const chance = this.#random();
    if (chance < 0.3) return void this.#commit();
    if (chance < 0.34) return this.#server.idle(this.#below(300));
    if (process === undefined) return;
    if (chance < 0.55) return process.read(1 + this.#below(12));
    if (chance < 0.62) return process.sync();
    if (chance < 0.67) return process.flush();
    if (chance < 0.7) return process.look();
    if (chance < 0.72) return process.retain();
    const sink = process.sinks[this.#below(process.sinks.length)];
    if (sink === undefined) return;
    if (chance < 0.78) return sink.read(1 + this.#below(4));
    if (chance < 0.88) return sink.deliver(1 + this.#below(5), () => this.#below(2));
    if (chance < 0.95) return sink.settle();
    return sink.sync();
  }

  async #act(action: Action): Promise<void> {
    const server = this.#server;
    if (isPublicationAction(action)) return this.#meetPublication(action);
    if (isServerAction(action)) return this.#meetServer(action);
    switch (action) {
      case 'go on':
        return;
      case 'kill':
        return this.#end({ killed: true });
      case 'stop':
        return this.#end({ killed: false });
      case 'power cut':
        return this.#cutPower();
      case 'connection lost':
        this.#process?.disconnect();
        return;
      case 'log moved away':
        await this.#down();
        return this.#moveLogAway();
      case 'ledger deleted':
        return this.#deleteLedger();
      case 'store deleted':
        await this.#down();
        this.accounting.looksGone();
        return this.#replaceStore(copyEmptyStore);
      case 'directory copied':
        return this.#copyDirectory();
      case 'directory put back':
        return this.#putBack();
      case 'options changed':
        await this.#down();
        this.#followAnother();
        return;
      case 'clock moved':
        server.world.timeUs += BigInt(this.#below(7_200_000) - 3_600_000) * 1_000_003n;
        return;
      case 'gaps accepted':
        this.accounting.note(this.#store);
        this.#process?.acceptGaps();
        return;
      case 'server copied':
        this.#serverCopy = server.copy();
        return;
      case 'server checkpoint':
        return server.checkpoint();
      case 'slot dropped':
      case 'slot remade':
      case 'slot advanced':
        return this.#meetSlot(action);
      default:
        return action satisfies never;
    }
  }

  #meetSlot(action: 'slot dropped' | 'slot remade' | 'slot advanced'): void {
    this.#process?.disconnect();
    const server = this.#server;
    // A server that lost commits and a slot that was moved before we met it again: what lies between cannot be refuted.
    if (server.state.history !== this.#metHistory) return;
    if (action === 'slot advanced') return server.confirm(server.walEnd);
    server.state.slot = undefined;
    if (action === 'slot remade') server.makeSlot();
  }

  /** With some writes while it is so. */
  #meetPublication(action: PublicationAction): void {
    const server = this.#server;
    const name = this.#publication;
    const chosen = TABLES[this.#below(TABLES.length)]!;
    const meanwhile = (): void => {
      for (let count = this.#below(3); count > 0; count--) this.#commit();
    };
    switch (action) {
      case 'publication dropped':
      case 'publication remade':
        server.dropPublication(name);
        meanwhile();
        if (action === 'publication remade' && !server.state.publications.has(name))
          server.makePublication(name);
        return;
      case 'publication narrowed':
      case 'publication narrowed and restored':
        server.publish(name, ['update']);
        meanwhile();
        if (action === 'publication narrowed and restored') server.publish(name);
        return;
      case 'table remade':
        server.remakeTable(chosen);
        return meanwhile();
      case 'table taken out':
      case 'table taken out and put in':
        server.removeMember(name, chosen);
        meanwhile();
        if (action === 'table taken out and put in') server.completeMembers(name);
        return;
      default:
        return action satisfies never;
    }
  }

  #meetServer(action: ServerAction): void {
    const server = this.#server;
    this.#process?.disconnect();
    const { wal } = server.state;
    const last = wal.at(-1)?.number ?? 0;
    switch (action) {
      case 'server crashed':
        return server.restart({ crash: true });
      case 'server restarted':
        return server.restart({ crash: false });
      case 'server restored':
      case 'server recovered to a point':
        if (this.#serverCopy === undefined) return;
        return server.restore(this.#serverCopy, { timeline: action !== 'server restored' });
      case 'failover to a level standby':
        return server.failOver(last, { withSlot: true });
      case 'failover to a standby behind':
        return server.failOver(wal.at(-1 - this.#below(4))?.number ?? 0, { withSlot: true });
      case 'failover without the slot':
        return server.failOver(last, { withSlot: false });
      default:
        return action satisfies never;
    }
  }

  #followAnother(): void {
    const before = this.#publication;
    this.#publication = PUBLICATIONS.find((name) => name !== before)!;
    this.accounting.followsAnother(this.#publication, before);
  }

  /** Whoever touches files stops the service first, or it was killed. */
  async #down(): Promise<void> {
    await this.#end({ killed: this.#random() < 0.5 });
  }

  async #cutPower(): Promise<void> {
    const image = join(this.#root, 'image');
    this.#disk!.record.writeSurvivors(image, this.#random() < 0.5 ? undefined : this.#random);
    this.#disk!.unwatch();
    await this.#end({ killed: true });
    this.#unwatch();
    rmSync(this.#data, { recursive: true });
    renameSync(image, this.#data);
    this.accounting.ledgersCut();
    this.#watch();
  }

  #moveLogAway(): void {
    this.#unwatch();
    if (existsSync(this.#log)) {
      renameSync(this.#log, join(this.#root, `log.moved-${readdirSync(this.#root).length}`));
      this.accounting.logGone();
      // It begins at the first change of the new log.
      this.accounting.mayAllRepeat();
    }
    this.#watch();
  }

  async #deleteLedger(): Promise<void> {
    await this.#down();
    this.#unwatch();
    const { name } = SINKS[this.#below(SINKS.length)]!;
    rmSync(join(this.#ledgers, `${name}.ledger`), { force: true });
    this.accounting.ledgerGone(name);
    this.#watch();
  }

  #replaceStore(write: (file: string) => void): void {
    this.#store.close();
    for (const suffix of ['', '-wal', '-shm']) rmSync(this.#storeFile + suffix, { force: true });
    write(this.#storeFile);
    this.#store = openStore(this.#storeFile);
  }

  get #backup(): string {
    return join(this.#root, 'backup');
  }

  #copyDirectory(): void {
    rmSync(this.#backup, { recursive: true, force: true });
    cpSync(this.#data, join(this.#backup, 'data'), { recursive: true });
    for (const suffix of ['', '-wal']) {
      if (existsSync(this.#storeFile + suffix))
        cpSync(this.#storeFile + suffix, join(this.#backup, `store.db${suffix}`));
    }
  }

  async #putBack(): Promise<void> {
    if (!existsSync(this.#backup)) return;
    await this.#down();
    this.#unwatch();
    rmSync(this.#data, { recursive: true });
    cpSync(join(this.#backup, 'data'), this.#data, { recursive: true });
    this.#replaceStore((file) => {
      for (const suffix of ['', '-wal']) {
        const from = join(this.#backup, `store.db${suffix}`);
        if (existsSync(from)) cpSync(from, file + suffix);
      }
    });
    this.accounting.logGone();
    this.accounting.ledgerGone();
    this.#watch();
  }

  /** An operator does what status and hints say, until everything flows; then a last change of each table. */
  async #rest(): Promise<void> {
    this.#random = seededRandom(1);
    await this.#heal();
    const probes = TABLES.map((name) => {
      const transaction = this.#server.commit([{ table: name, key: 0 }]);
      this.accounting.committed(transaction);
      return transaction;
    });
    this.#tell('-- probes');
    await this.#heal();
    this.accounting.settle(probes);
  }

  async #heal(): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      await this.#start();
      const process = this.#process!;
      this.#tell(`   round ${round}`);
      if (process.fatal !== undefined) {
        const { code, message } = process.fatal;
        await this.#end({ killed: false });
        // First as the hint of an unfinished transaction says: start again.
        if (round > 0 && code === 'HISTORY_PARTED') this.#moveLogAway();
        else if (code !== 'HISTORY_PARTED') throw new Error(`it ended with ${code}: ${message}`);
        continue;
      }
      const publication = this.#server.state.publications.get(this.#publication);
      if (publication?.publishes.includes('insert') === false) this.#server.publish(this.#publication);
      await process.look();
      this.accounting.note(this.#store);
      process.acceptGaps();
      if (process.isStreaming && (await this.#drain(process))) return;
    }
    throw new Error(
      `it does not come to rest: ${this.#process?.fatal?.message ?? this.#process?.waits?.message}`,
    );
  }

  /** Everything is read, delivered, settled and told. Answers whether that was all. */
  async #drain(process: ModelProcess): Promise<boolean> {
    process.read(10_000);
    await process.sync();
    for (const sink of process.sinks) {
      for (let turn = 0; turn < 200; turn++) {
        await sink.read(1000);
        if (sink.waiting === 0) break;
        sink.deliver(1000, () => 0);
        sink.settle();
      }
      await sink.sync();
    }
    await process.flush();
    this.accounting.note(this.#store);
    return process.isStreaming && process.sinks.every((_, slot) => !process.isHalted(slot));
  }
}

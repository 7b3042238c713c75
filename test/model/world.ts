// A world in which restarts happen: a pretended server, a directory, the lives of a service, and what an operator, a crash or a
// power cut does to them. A sequence is run to its end, brought to rest, and accounted for.
import { ModelDirectory } from './directory.ts';
import { makeDirectory } from '../../src/data-directory/directory.ts';
import { seededRandom } from '../support/workload.ts';
import { Accounting } from './accounting.ts';
import { bringToRest, describe } from './operator.ts';
import { ModelProcess } from './process.ts';
import {
  EXACT,
  HARMLESS,
  isPublicationAction,
  isServerAction,
  isSlotAction,
  WATCHED,
  type Action,
  type Sequence,
} from './sequence.ts';
import { isBeyondProof, meetPublication, meetServer, meetSlot } from './server-actions.ts';
import { PUBLICATIONS, TABLES, type ServerState, type Transaction } from './server-state.ts';
import { PretendedServer } from './server.ts';
import { FIRST_SINKS, laterSink } from './sinks.ts';
import { someRows, takeTurn } from './traffic.ts';
import { wire } from './wiring.ts';

/** A full disk takes some more bytes yet. */
const MAX_ROOM_BYTES = 4000;

export class RestartWorld {
  readonly #sequence: Sequence;
  readonly #directory: ModelDirectory;
  readonly #server: PretendedServer;
  readonly accounting: Accounting;
  #sinks = FIRST_SINKS;
  #process: ModelProcess | undefined;
  #publication: string = PUBLICATIONS[0];
  /** The history that the service last streamed from. */
  #metHistory = 1;
  /** Is another log there than was known of, and nobody has looked into it yet? */
  #isLogOlder = false;
  /** Where the WAL stood, on which timeline, when a server was last left that may have lost commits. */
  #lost = { walEnd: 0n, timeline: 1 };
  #serverCopy: ServerState | undefined;
  #random = seededRandom(0);
  /** What happened, for a failure to tell. */
  readonly story: string[] = [];

  constructor(sequence: Sequence) {
    this.#sequence = sequence;
    this.#server = new PretendedServer(sequence.version);
    this.accounting = new Accounting(this.#server, FIRST_SINKS);
    const isWatched = sequence.steps.some(({ action }) => WATCHED.has(action));
    this.#directory = new ModelDirectory({ isWatched });
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
      this.#checkHarmless();
      return this.accounting.faults.length === 0 ? undefined : this.#describe();
    } catch (error) {
      return `${(error as Error).stack}\n${this.#describe()}`;
    } finally {
      await this.#end({ killed: true }).catch(() => undefined);
      this.#directory.remove();
    }
  }

  #describe(): string {
    return `${this.accounting.describe()}\n${this.story.join('\n')}`;
  }

  readonly #tell = (what: string): void => {
    this.story.push(`${what}: ${describe(this.#server, this.#process)}`);
  };

  #checkHarmless(): void {
    const { hasGaps, faults } = this.accounting;
    if (this.#sequence.steps.every(({ action }) => HARMLESS.has(action)) && hasGaps) {
      faults.push('a gap was declared though nothing could be missing');
    }
  }

  readonly #below = (limit: number): number => Math.floor(this.#random() * limit);
  readonly #chances = { random: () => this.#random(), below: this.#below };

  #note(): void {
    this.accounting.note(this.#directory.store);
  }

  /** Answers the process that runs now. */
  async #start(): Promise<ModelProcess> {
    if (this.#process === undefined) {
      const { log, ledgers } = this.#directory;
      await makeDirectory(log);
      await makeDirectory(ledgers);
    }
    const process = (this.#process ??= this.#makeProcess());
    await process.connect();
    if (process.isStreaming) this.#metHistory = this.#server.state.history;
    if (this.#server.state.slot !== undefined) this.accounting.countedFrom ??= this.#server.world.commits;
    this.#note();
    return process;
  }

  #makeProcess(): ModelProcess {
    return new ModelProcess(
      wire({
        server: this.#server,
        directory: this.#directory,
        accounting: this.accounting,
        sinks: this.#sinks,
        publication: this.#publication,
        ack: this.#sequence.ack,
        isLogOlder: () => {
          const isOlder = this.#isLogOlder;
          this.#isLogOlder = false;
          return isOlder;
        },
      }),
    );
  }

  async #end(how: { readonly killed: boolean }): Promise<void> {
    const ending = this.#process;
    this.#process = undefined;
    await ending?.end(how);
    this.#note();
  }

  readonly #commit = (): void =>
    void this.#committed(this.#server.commit(someRows(this.#chances), this.#random() < 0.2));

  #committed(transaction: Transaction): Transaction {
    this.accounting.committed(transaction);
    return transaction;
  }

  async #traffic(): Promise<void> {
    // It may stay as it is for a while.
    if (this.#random() < 0.8) await this.#start();
    for (let turns = 2 + this.#below(8); turns > 0; turns--) {
      await takeTurn({
        server: this.#server,
        process: this.#process,
        commit: this.#commit,
        chances: this.#chances,
      });
    }
    this.#note();
  }

  async #act(action: Action): Promise<void> {
    const server = this.#server;
    if (isPublicationAction(action)) {
      const meanwhile = (): void => {
        for (let count = this.#below(3); count > 0; count--) this.#commit();
      };
      return meetPublication(server, action, { name: this.#publication, below: this.#below, meanwhile });
    }
    if (isServerAction(action)) {
      this.#process?.disconnect();
      const { walEnd, timeline } = server.state;
      const met = { history: this.#metHistory, lost: this.#lost };
      // The slot goes with it, and with that what would come again.
      if (action === 'failover without the slot' && isBeyondProof(server.state, met)) return;
      if (walEnd > this.#lost.walEnd) this.#lost = { walEnd, timeline };
      return meetServer(server, action, { copy: this.#serverCopy, below: this.#below });
    }
    if (isSlotAction(action)) {
      this.#process?.disconnect();
      const before = { history: this.#metHistory, lost: this.#lost };
      // One that we make ourselves hides nothing: on a server that is refused none stays.
      if (action === 'slot dropped' || !isBeyondProof(server.state, before)) meetSlot(server, action);
      return;
    }
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
        return this.#directory.deleteStore();
      case 'directory copied':
        return this.#directory.copy();
      case 'directory put back':
        return this.#putBack();
      case 'options changed':
        await this.#down();
        this.#followAnother();
        return;
      case 'new sink':
        await this.#down();
        return this.#addSink();
      case 'clock moved':
        this.accounting.clockMoved();
        server.world.timeUs += BigInt(this.#below(7_200_000) - 3_600_000) * 1_000_003n;
        return;
      case 'gaps accepted':
        this.#note();
        this.#process?.acceptGaps();
        return;
      case 'disk full':
        return this.#directory.leaveRoom(this.#below(MAX_ROOM_BYTES));
      case 'disk freed':
        return this.#directory.leaveRoom(Infinity);
      case 'server copied':
        this.#serverCopy = server.copy();
        return;
      case 'server checkpoint':
        return server.checkpoint();
      default:
        return action satisfies never;
    }
  }

  #addSink(): void {
    const sink = laterSink(this.#sinks, this.#server, this.#chances);
    if (sink === undefined) return;
    this.#sinks = [...this.#sinks, sink];
    this.accounting.addSink(sink);
  }

  #followAnother(): void {
    this.#publication = PUBLICATIONS.find((name) => name !== this.#publication)!;
    this.accounting.followsAnother(this.#publication);
  }

  /** Whoever touches files stops the service first, or it was killed. */
  async #down(): Promise<void> {
    await this.#end({ killed: this.#random() < 0.5 });
  }

  async #cutPower(): Promise<void> {
    const chance = this.#random() < 0.5 ? undefined : this.#random;
    await this.#directory.cutPower(chance, () => this.#end({ killed: true }));
    this.accounting.ledgersCut();
  }

  #moveLogAway(): void {
    if (!this.#directory.moveLogAway()) return;
    this.#isLogOlder = false;
    this.accounting.logGone();
    // It begins at the first change of the new log.
    this.accounting.mayAllRepeat();
  }

  async #deleteLedger(): Promise<void> {
    await this.#down();
    const { name } = this.#sinks[this.#below(this.#sinks.length)]!;
    this.#directory.deleteLedger(name);
    this.accounting.ledgerGone(name);
  }

  async #putBack(): Promise<void> {
    if (!this.#directory.hasCopy) return;
    await this.#down();
    this.#directory.putBack();
    this.accounting.logGone();
    this.#isLogOlder = true;
    this.accounting.ledgerGone();
  }

  /** An operator does what status and hints say, until everything flows; then a last change of each table. */
  async #rest(): Promise<void> {
    this.#random = seededRandom(1);
    this.#directory.leaveRoom(Infinity);
    await this.#heal();
    const probes = TABLES.map((name) => this.#committed(this.#server.commit([{ table: name, key: 0 }])));
    this.#tell('-- probes');
    await this.#heal();
    const isExact = this.#sequence.steps.every(({ action }) => EXACT.has(action));
    this.accounting.settle(probes, { orphansOf: isExact ? this.#directory.store : undefined });
  }

  #heal(): Promise<void> {
    return bringToRest({
      server: this.#server,
      publication: this.#publication,
      start: () => this.#start(),
      stop: () => this.#end({ killed: false }),
      moveLogAway: () => this.#moveLogAway(),
      note: () => this.#note(),
      tell: this.#tell,
    });
  }
}

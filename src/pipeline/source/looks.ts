// Takes looks at the catalog, keeps them, and declares what two of them show: changes that may not have been streamed.
import type { Client } from 'pg';
import { wallTime } from '../../core/clock.ts';
import { describeError } from '../../core/errors.ts';
import type { GapDeclaration } from '../../core/gaps.ts';
import type { Look, LookedAt } from '../../core/look.ts';
import { maxLsn, minLsn, type Lsn } from '../../core/lsn.ts';
import { takeLook } from '../../postgres/look.ts';
import type { Looks } from '../../store/looks.ts';
import { AlteredVersions } from './altered-versions.ts';
import { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import type { GapKeeper } from './gaps.ts';
import { LastLook } from './last-look.ts';
import type { SeenOf } from './lineages.ts';
import type { SourceOptions } from './options.ts';
import { bearersOf, existing } from './present-tables.ts';
import { SeenTables } from './seen-tables.ts';
import {
  endedAt,
  gapsOfAnother,
  lessPublished,
  readAgain,
  unprovedUntil,
} from './history/followed-publication.ts';
import { gapsBetween, goneTables, hasEnded, renamedTables, type NamedTable } from './history/publication.ts';

/** Which server a connection leads to, as it said when the connection began. */
export type Looking = {
  readonly client: Client;
  readonly serverVersion: number;
  readonly server: Pick<LookedAt, 'systemIdentifier' | 'timeline' | 'switches'>;
};

type KeepFacts = {
  readonly unread?: Lsn | undefined;
  readonly certain?: Lsn | undefined;
  readonly again?: Lsn | undefined;
};

/**
 * Until what a server sends again has been compared with the log, its looks say what is published, and nothing of whose server it
 * is: a crash leaves it as much in doubt as it was, and no LSN of it bounds a gap.
 */
export class LookKeeper {
  readonly #options: SourceOptions;
  readonly #gapKeeper: GapKeeper;
  readonly #lastLook: LastLook;
  readonly #lines: RepeatedLines;
  /** Changes were read, and no look is kept that says under which publication. */
  #isUnknown = false;
  #last: Look | undefined;
  /** The last one that saw the publication. */
  #present: Look | undefined;
  #proved: Look | undefined;
  #isProved = false;
  /** What looks before this connection's have in common with its server, where they may be of another history. */
  #certain: Lsn | undefined;
  /** Undefined: nobody has asked. */
  #seen: SeenTables | undefined;
  /** Number of the connection's first look that is stored. */
  #since: number | undefined;
  readonly #altered = new AlteredVersions();
  #turn: Promise<void> = Promise.resolve();
  #next: Promise<Look> | undefined;

  constructor(options: SourceOptions, gapKeeper: GapKeeper) {
    this.#options = options;
    this.#lines = new RepeatedLines(options.logger);
    this.#gapKeeper = gapKeeper;
    this.#lastLook = new LastLook(options, gapKeeper);
    this.#readStored();
  }

  #readStored(): void {
    const { looks } = this.#options.store;
    this.#last = looks.newest(this.#database);
    this.#proved = looks.newest(this.#database, { proved: true });
    this.#present = looks.newest(this.#database, { withPublication: true });
  }

  /** The log is opened: what it remembers is known, whatever has become of the store. `wasRead`: this slot was read before. */
  recall({ wasRead }: { readonly wasRead: boolean }): void {
    this.#lastLook.recall();
    this.#readStored();
    this.#isUnknown = wasRead && this.#last === undefined;
  }

  get #database(): string {
    return this.#options.settings.name;
  }

  /** The last look at a server that was proved to be the log's. */
  get proved(): Look | undefined {
    return this.#proved;
  }

  /** The newest one, proved or not. */
  get last(): Look | undefined {
    return this.#last;
  }

  /** The look that a connection begins with. Nothing is kept of it before `keep`. */
  async first(looking: Looking): Promise<Look> {
    this.#isProved = false;
    this.#certain = undefined;
    this.#since = undefined;
    return this.#take(looking);
  }

  /** Where the WAL ended at the newest look after which every transaction from `xid` on began. */
  endBefore(look: Look, xid: bigint): Lsn {
    return this.#options.store.looks.endBefore(this.#database, look.server, xid);
  }

  /** What the looks have seen of a table. */
  seen(oid: number): SeenOf {
    if (this.#seen === undefined) {
      const seen = new SeenTables();
      this.#try((looks) => {
        for (const catalog of looks.catalogs(this.#database)) seen.add(catalog);
      });
      if (this.#present !== undefined) seen.add(this.#present.catalog);
      this.#seen = seen;
    }
    return this.#seen.of(oid);
  }

  /** We altered the publication's own row ourselves: what became of the version that the last look saw is no news. */
  altered(versions: { readonly from: string; readonly to: string }): void {
    this.#altered.add(versions);
  }

  /** Looks again; one look at a time, and whoever asks meanwhile gets the next one. */
  again(looking: Looking): Promise<Look> {
    this.#next ??= this.#turn.then(async () => {
      this.#next = undefined;
      const look = await this.#take(looking);
      await this.keep(look, looking);
      return look;
    });
    const next = this.#next;
    this.#turn = next.then(
      () => undefined,
      () => undefined,
    );
    return next;
  }

  #take(
    { client, serverVersion, server }: Looking,
    publication = this.#options.settings.publication.name,
  ): Promise<Look> {
    return takeLook(client, { publication, serverVersion, server, previous: this.#last, at: wallTime() });
  }

  /** Is another publication followed than at the last look? */
  isOfAnother({ publication }: Look): boolean {
    return this.#last !== undefined && this.#last.publication !== publication;
  }

  /**
   * Declares what differs from the look before, and keeps it. `unread`: another publication is followed now, and it decodes
   * everything written from there on, as it was then. `certain`: the looks before may be of another history, which has no more than
   * that in common with this one. `again`: the log was made anew, and everything from there on is read once more.
   */
  async keep(look: Look, looking: Looking, { unread, certain, again }: KeepFacts = {}): Promise<void> {
    const { client } = looking;
    this.#certain = certain ?? this.#certain;
    // What two publications were read for in turn is read with the last one now.
    if (again !== undefined && !this.isOfAnother(look) && this.hasOtherSince(look, again))
      this.#gapKeeper.declare(readAgain(look, again));
    if (unread !== undefined && this.isOfAnother(look))
      await this.#leave(this.#last!.publication, looking, unread);
    const previous = this.#previousOf(look);
    const open = this.#gapKeeper.open();
    const exists = await existing(client, [
      ...(previous === undefined ? [] : goneTables(previous, look).map(({ oid }) => oid)),
      ...open.flatMap(({ ends }) => ends.flatMap((end) => ('oid' in end ? [end.oid] : []))),
    ]);
    const bearers = previous === undefined ? [] : await bearersOf(client, renamedTables(previous, look));
    let missed = false;
    for (const { gap, ends } of open) {
      if (!hasEnded(ends, look, exists)) continue;
      this.#gapKeeper.close(gap, look.walAfter);
      missed ||= gap.cause === 'publication_missing';
    }
    for (const gap of this.#gapsOf(look, { previous, unread, exists, bearers, missed }))
      this.#gapKeeper.declare(gap);
    this.#isUnknown = false;
    if (look.fold !== this.#last?.fold) this.#seen?.add(look.catalog);
    this.#last = look;
    if (look.catalog.publication !== undefined) this.#present = look;
    this.#store(look);
  }

  /** Was another publication followed when the WAL stood behind `lsn`? */
  hasOtherSince({ publication }: Look, lsn: Lsn): boolean {
    return this.#options.store.looks.hasOtherSince(this.#database, publication, lsn);
  }

  /**
   * A publication is followed no further than `unread`: what was read with it since the last look at it is looked for now, or
   * never. What another one reads has nothing to do with it.
   */
  async #leave(publication: string, looking: Looking, unread: Lsn): Promise<void> {
    const look = await this.#take(looking, publication);
    const previous = this.#lastOf(look);
    if (previous === undefined) return;
    const exists = await existing(
      looking.client,
      goneTables(previous, look).map(({ oid }) => oid),
    );
    const bearers = await bearersOf(looking.client, renamedTables(previous, look));
    const from = this.#boundOf(previous, look);
    const gaps = gapsBetween(previous, look, { from, exists, bearers, missed: false });
    for (const gap of endedAt(gaps, unread)) this.#gapKeeper.declare(gap);
  }

  /** What it is compared with: the last look that saw its publication. Of one that is still missing everything is said. */
  #previousOf(look: Look): Look | undefined {
    const isMissing = look.catalog.publication === undefined && this.#last?.catalog.publication === undefined;
    return isMissing ? undefined : this.#lastOf(look);
  }

  /** The last look at this cluster that saw this publication. */
  #lastOf({ publication, server }: Look): Look | undefined {
    if (this.#present?.server.systemIdentifier !== server.systemIdentifier) return undefined;
    return this.#present.publication === publication
      ? this.#present
      : this.#options.store.looks.newest(this.#database, { withPublication: true, publication });
  }

  /** What changed the versions of the earlier look began after this. */
  #boundOf(previous: Look, { server }: Look): Lsn {
    const { looks } = this.#options.store;
    const from = looks.endBefore(this.#database, server, previous.xmin);
    const parted = this.#certain ?? partedFrom(previous, server);
    return parted === undefined ? from : minLsn(from, parted);
  }

  #gapsOf(
    look: Look,
    facts: {
      readonly previous: Look | undefined;
      readonly unread: Lsn | undefined;
      readonly exists: ReadonlySet<number>;
      readonly bearers: readonly NamedTable[];
      readonly missed: boolean;
    },
  ): readonly GapDeclaration[] {
    const { previous, unread, ...seen } = facts;
    const { looks } = this.#options.store;
    if (previous === undefined) {
      if (this.#isUnknown) return [unprovedUntil(look)];
      if (unread === undefined) return [];
      return gapsOfAnother(look, {
        from: unread,
        ended:
          this.#certain === undefined ? looks.endedBefore(this.#database, look.server, unread) : undefined,
        before: this.#present?.catalog,
      });
    }
    const bound = this.#boundOf(previous, look);
    // What another publication has read before that is had.
    const wasAnother = this.#present?.publication !== look.publication;
    const from = wasAnother && unread !== undefined ? maxLsn(bound, unread) : bound;
    const gaps = gapsBetween(this.#altered.in(previous), look, { from, ...seen });
    return wasAnother && unread !== undefined
      ? [...gaps, ...lessPublished(look, { from: unread, before: this.#present?.catalog })]
      : gaps;
  }

  /** The server of this connection is the log's. Throws TailraceError: nothing is read before the last look is kept beside the log. */
  prove(): void {
    this.#isProved = true;
    this.#proved = this.#last;
    this.#try((looks) => {
      if (this.#certain !== undefined) looks.doubt(this.#database, this.#since ?? 0);
      looks.prove(this.#database, this.#since ?? Infinity);
    });
    this.#certain = undefined;
    if (this.#last?.catalog.publication !== undefined) this.#lastLook.keep(this.#last);
  }

  /** It is not: what it has published is nobody's business. */
  forget(): void {
    this.#try((looks) => looks.forget(this.#database, this.#since ?? Infinity));
    this.#readStored();
    this.#seen = undefined;
    this.#isProved = false;
    this.#certain = undefined;
    this.#isUnknown = this.#last === undefined;
  }

  #store(look: Look): void {
    if (this.#isProved) this.#proved = look;
    this.#try((looks) => {
      const id = looks.add(this.#database, look, this.#isProved);
      this.#since ??= id;
      const isNews = look.catalog.publication !== undefined && this.#lastLook.isNews(look);
      if (this.#isProved && isNews) this.#lastLook.keep(look);
    });
  }

  /** Nothing is lost where it fails: the next gap is declared from an earlier look, and so is larger. */
  #try(work: (looks: Looks) => void): void {
    const { store } = this.#options;
    try {
      work(store.looks);
    } catch (error) {
      this.#lines.say({
        level: 'warn',
        message: `looks at the catalog could not be stored: ${describeError(error)}`,
        fields: { database: this.#database },
        kind: 'looks not stored',
      });
    }
  }
}

/** Where the history of the earlier look ended for the later one's server: above that it says nothing of this history. */
const partedFrom = (previous: Look, server: Look['server']): Lsn | undefined =>
  server.switches.find(({ timeline }) => timeline === previous.server.timeline)?.switchLsn;

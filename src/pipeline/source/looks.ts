// Takes looks at the catalog, keeps them, and declares what two of them show: changes that may not have been streamed.
import type { Client } from 'pg';
import { wallTime } from '../../core/clock.ts';
import { describeError } from '../../core/errors.ts';
import type { GapDeclaration } from '../../core/gaps.ts';
import type { Look, LookedAt } from '../../core/look.ts';
import { maxLsn, minLsn, type Lsn } from '../../core/lsn.ts';
import { takeLook } from '../../postgres/look.ts';
import type { Looks } from '../../store/looks.ts';
import type { GapKeeper } from './gaps.ts';
import type { SourceOptions } from './options.ts';
import { gapsBetween, gapsOfAnother, goneTables, hasEnded } from './history/publication.ts';

/** Which server a connection leads to, as it said when the connection began. */
export type Looking = {
  readonly client: Client;
  readonly serverVersion: number;
  readonly server: Pick<LookedAt, 'systemIdentifier' | 'timeline' | 'switches'>;
};

/**
 * Until what a server sends again has been compared with the log, its looks say what is published, and nothing of whose server it
 * is: a crash leaves it as much in doubt as it was, and no LSN of it bounds a gap.
 */
export class LookKeeper {
  readonly #options: SourceOptions;
  readonly #gapKeeper: GapKeeper;
  #last: Look | undefined;
  /** The last one that saw the publication. */
  #present: Look | undefined;
  #proved: Look | undefined;
  #isProved = false;
  /** Number of the connection's first look that is stored. */
  #since: number | undefined;
  #turn: Promise<void> = Promise.resolve();
  #next: Promise<Look> | undefined;

  constructor(options: SourceOptions, gapKeeper: GapKeeper) {
    this.#options = options;
    this.#gapKeeper = gapKeeper;
    const { looks } = options.store;
    this.#last = looks.newest(this.#database);
    this.#proved = looks.newest(this.#database, { proved: true });
    this.#present = looks.newest(this.#database, { withPublication: true });
  }

  get #database(): string {
    return this.#options.settings.name;
  }

  /** The last look at a server that was proved to be the log's. */
  get proved(): Look | undefined {
    return this.#proved;
  }

  /** The look that a connection begins with. Nothing is kept of it before `keep`. */
  async first(looking: Looking): Promise<Look> {
    this.#isProved = false;
    this.#since = undefined;
    return this.#take(looking);
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

  #take({ client, serverVersion, server }: Looking): Promise<Look> {
    const publication = this.#options.settings.publication.name;
    return takeLook(client, { publication, serverVersion, server, previous: this.#last, at: wallTime() });
  }

  /**
   * Declares what differs from the look before, and keeps it. `unread`: another publication is followed now, and it decodes
   * everything written from there on, as it was then.
   */
  async keep(look: Look, { client }: Pick<Looking, 'client'>, unread?: Lsn): Promise<void> {
    const previous = this.#previousOf(look);
    const open = this.#gapKeeper.open();
    const exists = await existing(client, [
      ...(previous === undefined ? [] : goneTables(previous, look).map(({ oid }) => oid)),
      ...open.flatMap(({ ends }) => ends.flatMap((end) => ('oid' in end ? [end.oid] : []))),
    ]);
    let missed = false;
    for (const { gap, ends } of open) {
      if (!hasEnded(ends, look, exists)) continue;
      this.#gapKeeper.close(gap, look.walAfter);
      missed ||= gap.cause === 'publication_missing';
    }
    for (const gap of this.#gapsOf(look, { previous, unread, exists, missed })) this.#gapKeeper.declare(gap);
    this.#last = look;
    if (look.catalog.publication !== undefined) this.#present = look;
    this.#store(look);
  }

  /** What it is compared with: the last look that saw its publication. Of one that is still missing everything is said. */
  #previousOf({ publication, catalog, server }: Look): Look | undefined {
    const isMissing = catalog.publication === undefined && this.#last?.catalog.publication === undefined;
    if (isMissing || this.#present?.server.systemIdentifier !== server.systemIdentifier) return undefined;
    return this.#present.publication === publication
      ? this.#present
      : this.#options.store.looks.newest(this.#database, { withPublication: true, publication });
  }

  #gapsOf(
    look: Look,
    facts: {
      readonly previous: Look | undefined;
      readonly unread: Lsn | undefined;
      readonly exists: ReadonlySet<number>;
      readonly missed: boolean;
    },
  ): readonly GapDeclaration[] {
    const { previous, unread, exists, missed } = facts;
    const { looks } = this.#options.store;
    if (previous === undefined) {
      if (unread === undefined) return [];
      return gapsOfAnother(look, {
        from: unread,
        ended: looks.endedBefore(this.#database, look.server, unread),
      });
    }
    const before = looks.endBefore(this.#database, look.server, previous.xmin);
    // What another publication has read before that is had.
    const wasAnother = this.#present?.publication !== look.publication;
    const from = wasAnother && unread !== undefined ? maxLsn(before, unread) : before;
    const parted = partedFrom(previous, look);
    return gapsBetween(previous, look, {
      from: parted === undefined ? from : minLsn(from, parted),
      exists,
      missed,
    });
  }

  /** The server of this connection is the log's. */
  prove(): void {
    this.#isProved = true;
    this.#proved = this.#last;
    this.#try((looks) => looks.prove(this.#database, this.#since ?? Infinity));
  }

  /** It is not: what it has published is nobody's business. */
  forget(): void {
    this.#try((looks) => looks.forget(this.#database, this.#since ?? Infinity));
  }

  #store(look: Look): void {
    if (this.#isProved) this.#proved = look;
    this.#try((looks) => {
      const id = looks.add(this.#database, look, this.#isProved);
      this.#since ??= id;
    });
  }

  /** Nothing is lost where it fails: the next gap is declared from an earlier look, and so is larger. */
  #try(work: (looks: Looks) => void): void {
    const { store, logger } = this.#options;
    try {
      work(store.looks);
    } catch (error) {
      logger.warn(
        { database: this.#database },
        `looks at the catalog could not be stored: ${describeError(error)}`,
      );
    }
  }
}

/** Where the history of the earlier look ended for the later one's server: above that it says nothing of this history. */
const partedFrom = (previous: Look, { server }: Look): Lsn | undefined =>
  server.switches.find(({ timeline }) => timeline === previous.server.timeline)?.switchLsn;

/** Of these tables, those that are still there. */
async function existing(client: Client, oids: readonly number[]): Promise<ReadonlySet<number>> {
  if (oids.length === 0) return new Set();
  const { rows } = await client.query<{ oid: number }>(
    'select oid::int8::float8 as oid from pg_class where oid = any($1::oid[])',
    [oids],
  );
  return new Set(rows.map(({ oid }) => oid));
}

// Which places hold in which log: single cases, and thousands of sequences of everything that can happen to the files and to
// the server, after which every change is delivered or lies in a declared gap.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ZERO_LSN, toLsn, type Lsn } from '../../../src/core/lsn.ts';
import { comparePositions, ORIGIN, type Position } from '../../../src/core/position.ts';
import type { TimelineSwitch } from '../../../src/core/timeline.ts';
import { beginLife, type History } from '../../../src/log/birth.ts';
import type { LogBirth } from '../../../src/core/log-life.ts';
import {
  beginningOf,
  missingSince,
  type KnownSink,
  type Missing,
  type PresentLog,
} from '../../../src/pipeline/sink/belonging.ts';
import type { KnownPlace } from '../../../src/store/places.ts';
import { FOLLOWED, LIFE } from '../../support/ledger.ts';

const lsn = (value: number): Lsn => toLsn(BigInt(value));
const at = (commit: number, index = 0, epoch = 0): Position => ({ epoch, commitLsn: lsn(commit), index });
const log = (changes: Partial<PresentLog> = {}): PresentLog => ({
  ...FOLLOWED,
  beganAt: lsn(500),
  epoch: 0,
  first: ORIGIN,
  ...changes,
});
/** A place of another life, settled up to `end`, on timeline 1. */
const place = (end: number, changes: Partial<KnownPlace> = {}): KnownPlace => ({
  cursor: { position: at(end - 8, 1), endLsn: lsn(end), timeline: 1 },
  log: { ...LIFE, life: 'another' },
  ...changes,
});
const own = (end: number, epoch = 0): KnownPlace => ({
  cursor: { position: at(end - 8, 1, epoch), endLsn: lsn(end), timeline: 1 },
  log: LIFE,
});
const ledgerOnly = (ledger: KnownPlace): KnownSink => ({ ledger, record: undefined });

describe('a sink', () => {
  test('that has never begun begins as its settings say', () => {
    expect(beginningOf({ ledger: undefined, record: undefined }, log())).toEqual({ at: 'settings' });
  });

  test('goes on where its ledger says, in the log that it was of', () => {
    const known = own(700);
    expect(beginningOf(ledgerOnly(known), log())).toEqual({ at: 'cursor', cursor: known.cursor });
    const trimmed = log({ first: at(692, 0) });
    expect(beginningOf(ledgerOnly(known), trimmed)).toEqual({ at: 'cursor', cursor: known.cursor });
  });

  test('goes on at the first change retained, with a gap, where its log has let go of more', () => {
    expect(beginningOf(ledgerOnly(own(700)), log({ first: at(692, 1) }))).toEqual({
      at: 'first',
      why: 'let go',
      missing: { from: lsn(700), to: lsn(692) },
    });
    expect(beginningOf(ledgerOnly(own(700)), log({ first: at(900, 3) }))).toMatchObject({
      missing: { from: lsn(700), to: lsn(900) },
    });
  });

  test('begins at the first change of a log made anew, whatever its place says, and repeats what is behind', () => {
    for (const end of [500, 501, 10_000]) {
      expect(beginningOf(ledgerOnly(place(end)), log())).toEqual({
        at: 'first',
        why: 'another log',
        missing: undefined,
      });
    }
    // The one before had come to a later epoch, in which everything of this one seems to lie behind.
    const later = place(400, { cursor: { ...place(400).cursor, position: at(392, 1, 1) } });
    expect(beginningOf(ledgerOnly(later), log())).toMatchObject({ at: 'first', missing: { from: 400n } });
  });

  test('misses what lies between its place and the beginning of a log made anew', () => {
    expect(beginningOf(ledgerOnly(place(499)), log())).toMatchObject({
      at: 'first',
      missing: { from: lsn(499), to: lsn(500) },
    });
  });

  test('misses what the new log has let go of again', () => {
    const trimmed = log({ first: at(900, 2) });
    expect(beginningOf(ledgerOnly(place(900)), trimmed)).toMatchObject({ missing: { to: lsn(900) } });
    expect(beginningOf(ledgerOnly(place(901)), trimmed)).toMatchObject({ missing: undefined });
  });

  test('is told of a gap where LSNs of two histories cannot be compared', () => {
    const away = {
      at: 'first',
      why: 'another log',
      missing: { from: ZERO_LSN, to: lsn(500), elsewhere: lsn(9000) },
    };
    const otherCluster = place(9000, { log: { ...LIFE, life: 'another', systemIdentifier: '8' } });
    expect(beginningOf(ledgerOnly(otherCluster), log())).toMatchObject(away);
    const otherDatabase = place(9000, { log: { ...LIFE, life: 'another', databaseOid: 6 } });
    expect(beginningOf(ledgerOnly(otherDatabase), log())).toMatchObject(away);
    // The server was promoted before it came to where the sink had settled.
    const parted = log({
      history: { current: 2, switches: [{ timeline: 1, switchLsn: lsn(8999) }], walEnd: lsn(99_999) },
    });
    expect(beginningOf(ledgerOnly(place(9000)), parted)).toMatchObject(away);
    const shared = {
      ...parted,
      history: { ...parted.history, switches: [{ timeline: 1, switchLsn: lsn(9000) }] },
    };
    expect(beginningOf(ledgerOnly(place(9000)), shared)).toMatchObject({ missing: undefined });
    // Restored from a backup, on the same timeline.
    const restored = log({ history: { current: 1, switches: [], walEnd: lsn(8999) } });
    expect(beginningOf(ledgerOnly(place(9000)), restored)).toMatchObject(away);
  });

  test('whose timeline is not known is of the history that all timelines share, no further', () => {
    const { timeline: _, ...cursor } = place(700).cursor;
    const switched = (switchLsn: number) =>
      log({
        history: { current: 2, switches: [{ timeline: 1, switchLsn: lsn(switchLsn) }], walEnd: lsn(9999) },
      });
    const known = ledgerOnly(place(700, { cursor }));
    expect(beginningOf(known, log())).toMatchObject({ missing: undefined });
    expect(beginningOf(known, switched(700))).toMatchObject({ missing: undefined });
    expect(beginningOf(known, switched(699))).toMatchObject({ missing: { elsewhere: lsn(700) } });
  });

  test('of before logs had lives goes on in the log that was adopted, up to the epoch of then', () => {
    const old = (epoch: number): KnownSink =>
      ledgerOnly({ cursor: { position: at(692, 1, epoch), endLsn: lsn(700) }, log: undefined });
    const adopted = log({ adoptedEpoch: 2, epoch: 5, beganAt: undefined });
    expect(beginningOf(old(2), adopted)).toMatchObject({ at: 'cursor' });
    expect(beginningOf(old(3), adopted)).toMatchObject({ at: 'first', missing: { elsewhere: lsn(700) } });
    expect(beginningOf(old(0), log())).toMatchObject({ at: 'first', missing: { elsewhere: lsn(700) } });
  });

  test('in an epoch that its log has not come to is not of this copy of it', () => {
    expect(beginningOf(ledgerOnly(own(700, 1)), log())).toMatchObject({ at: 'first' });
    expect(beginningOf(ledgerOnly(own(700, 1)), log({ epoch: 1 }))).toMatchObject({ at: 'cursor' });
  });

  test('that lost its ledger begins at the first change retained; what was noted of it says what is missing', () => {
    const lost = (known: KnownPlace | undefined): KnownSink => ({
      ledger: undefined,
      record: { place: known },
    });
    expect(beginningOf(lost(own(700)), log())).toEqual({ at: 'first', why: 'no ledger', missing: undefined });
    expect(beginningOf(lost(own(700)), log({ first: at(900, 2) }))).toMatchObject({
      missing: { from: lsn(700), to: lsn(900) },
    });
    expect(beginningOf(lost(place(499)), log())).toMatchObject({ missing: { from: lsn(499), to: lsn(500) } });
    expect(beginningOf(lost(undefined), log())).toMatchObject({ missing: { from: ZERO_LSN, to: lsn(500) } });
    expect(beginningOf(lost(undefined), log({ first: at(900, 2) }))).toMatchObject({
      missing: { from: ZERO_LSN, to: lsn(900) },
    });
  });

  test('whose cursor was given up misses what lies between, also where that cannot be counted', () => {
    const since = (known: KnownPlace | undefined, left: number, start: number) =>
      missingSince(known, { left: lsn(left), start: lsn(start) }, log());
    expect(since(undefined, 700, 700)).toBeUndefined();
    expect(since(own(700), 700, 900)).toEqual({ from: lsn(700), to: lsn(900) });
    const elsewhere = place(700, { log: { ...LIFE, life: 'another', systemIdentifier: '8' } });
    expect(since(elsewhere, 700, 600)).toEqual({ from: ZERO_LSN, to: lsn(600), elsewhere: lsn(700) });
    expect(since(place(700), 700, 600)).toBeUndefined();
  });
});

/** A transaction of one row, on one server, for ever. */
type Commit = { readonly id: number; readonly lsn: Lsn };
const COMMIT_BYTES = 8n;
const endOf = ({ lsn }: Commit): Lsn => toLsn(lsn + COMMIT_BYTES);

type Logged = { readonly commit: Commit; readonly position: Position };
type ModelLog = {
  readonly birth: LogBirth;
  readonly system: string;
  history: History;
  entries: Logged[];
  /** Position of the last row that was let go of. */
  first: Position;
  endLsn: Lsn;
  flushed: Lsn;
};
/** A server, its slot, a data directory with one sink; each step is what may happen between two starts. */
class World {
  system = 1;
  timeline = 1;
  switches: TimelineSwitch[] = [];
  #walEnd = 1000n;
  #nextId = 0;
  /** Of this server, in order. */
  commits: Commit[] = [];
  confirmed: Lsn = toLsn(1000n);
  log: ModelLog | undefined;
  ledger: KnownPlace | undefined;
  record: { place: KnownPlace | undefined } | undefined;
  /** What the sink had settled beside its cursor's own word: nothing, so the prefix is all. */
  readonly delivered = new Set<number>();
  readonly forgiven = new Set<number>();
  readonly everything: Commit[] = [];
  #copy: Pick<World, 'log' | 'ledger' | 'record'> | undefined;
  /** The server's state when the copy was made: a copy of another server's time is another story. */
  started = false;

  write(count: number): void {
    for (let i = 0; i < count; i++) {
      const commit = { id: this.#nextId++, lsn: toLsn(this.#walEnd) };
      this.#walEnd += 100n;
      this.commits.push(commit);
      if (this.started) this.everything.push(commit);
      else this.forgiven.add(commit.id);
    }
  }

  get walEnd(): Lsn {
    return toLsn(this.#walEnd);
  }

  /** Makes the log or goes on with it; the sink takes its place. */
  start(): void {
    if (!this.started) this.confirmed = this.walEnd;
    this.started = true;
    const system = String(this.system);
    // Another server: the log says so (LOG_IDENTITY), and the operator does what its hint says.
    if (this.log !== undefined && this.log.system !== system) this.log = undefined;
    // The server's history is not the log's (HISTORY_PARTED): the same.
    if (this.log !== undefined && this.log.endLsn > this.walEnd) this.log = undefined;
    const epochs = [this.ledger, this.record?.place].map((known) => known?.cursor.position.epoch ?? -1);
    const knownEpoch = Math.max(...epochs);
    const { birth, history } = beginLife(
      {
        birth: this.log?.birth,
        isUnused: this.log === undefined,
        history: this.log?.history ?? { epoch: 0, timeline: this.timeline },
      },
      { beganAt: this.confirmed, knownEpoch },
    );
    this.log ??= {
      birth,
      system,
      history,
      entries: [],
      first: ORIGIN,
      endLsn: ZERO_LSN,
      flushed: this.confirmed,
    };
    this.log.history = { ...history, timeline: this.timeline };
    const known = this.log.endLsn > this.log.flushed ? this.log.endLsn : this.log.flushed;
    if (this.confirmed > known) {
      // The source declares it, and begins another epoch.
      this.#forgive({ from: known, to: this.confirmed });
      this.log.history = { ...this.log.history, epoch: this.log.history.epoch + 1 };
    }
    this.#takePlace(this.log);
  }

  #takePlace(log: ModelLog): void {
    const life = { ...LIFE, life: log.birth.life, systemIdentifier: log.system };
    const present: PresentLog = {
      ...life,
      ...log.birth,
      epoch: log.history.epoch,
      first: log.first,
      history: { current: this.timeline, switches: this.switches, walEnd: this.walEnd },
    };
    const beginning = beginningOf({ ledger: this.ledger, record: this.record }, present);
    if (beginning.at === 'cursor') {
      this.ledger = { cursor: beginning.cursor, log: life };
    } else {
      const { epoch, commitLsn, index } = log.first;
      const endLsn = log.first === ORIGIN ? log.birth.beganAt! : ZERO_LSN;
      this.ledger = { cursor: { position: { epoch, commitLsn, index: index + 1 }, endLsn }, log: life };
      if (beginning.at === 'first' && beginning.missing !== undefined) this.#forgive(beginning.missing);
    }
    this.record = { place: this.ledger };
  }

  /** A gap is declared: what may be missing by it is forgiven, and no more. */
  #forgive({ from, to, elsewhere }: Missing): void {
    for (const { id, lsn: commit } of this.everything) {
      const isOfNow = this.commits.some((other) => other.id === id);
      const inRange = isOfNow
        ? commit >= from && commit <= to
        : elsewhere !== undefined && commit >= elsewhere;
      if (inRange) this.forgiven.add(id);
    }
  }

  read(count: number): void {
    const log = this.log!;
    const from = log.endLsn > this.confirmed ? log.endLsn : this.confirmed;
    const news = this.commits.filter(({ lsn: commit }) => commit >= from).slice(0, count);
    for (const commit of news) {
      log.entries.push({
        commit,
        position: { epoch: log.history.epoch, commitLsn: commit.lsn, index: 0 },
      });
      log.endLsn = endOf(commit);
    }
  }

  deliver(count: number): void {
    const { entries, history } = this.log!;
    for (const { commit, position } of entries) {
      if (count === 0) break;
      if (comparePositions(position, this.ledger!.cursor.position) < 0) continue;
      count--;
      this.delivered.add(commit.id);
      const cursor = {
        position: { ...position, index: 1 },
        endLsn: endOf(commit),
        timeline: history.timeline,
      };
      this.ledger = { ...this.ledger!, cursor };
    }
  }

  /** The store's note of the place, now and then. */
  note(): void {
    if (this.record !== undefined) this.record = { place: this.ledger };
  }

  flushDelivered(): void {
    this.#flush(this.ledger!.cursor.endLsn);
  }
  flushDurable(): void {
    this.#flush(this.log!.endLsn);
  }
  /** All is read and settled: what the keepalive says is, too. */
  keepalive(): void {
    this.read(Infinity);
    this.deliver(Infinity);
    this.#walEnd += 50n;
    this.ledger = {
      ...this.ledger!,
      cursor: { ...this.ledger!.cursor, endLsn: this.walEnd, timeline: this.timeline },
    };
    this.#flush(this.walEnd);
  }
  #flush(to: Lsn): void {
    if (to <= this.confirmed) return;
    this.confirmed = to;
    this.log!.flushed = to;
  }

  /** Lets go of what the sink has settled, or (nobody holds it) of more. */
  retain(share: number, held: boolean): void {
    const log = this.log!;
    const { position: cursor } = this.ledger!.cursor;
    const gone = log.entries.filter(({ position }) => !held || comparePositions(position, cursor) < 0);
    const last = gone[Math.floor(gone.length * share) - 1];
    if (last === undefined) return;
    log.entries = log.entries.filter(({ position }) => comparePositions(position, last.position) > 0);
    log.first = last.position;
  }

  /** Somebody drops the slot and makes it anew, or it is gone: what was written until now is not streamed. */
  remakeSlot(): void {
    this.confirmed = this.walEnd;
  }

  /** A standby that has all is promoted. */
  promote(): void {
    this.switches = [...this.switches, { timeline: this.timeline, switchLsn: this.walEnd }];
    this.timeline++;
  }

  /** The rows are dumped and restored into a new cluster: LSNs begin again, and what was not delivered is lost for us. */
  newCluster(): void {
    this.system++;
    this.timeline = 1;
    this.switches = [];
    this.#walEnd = 1000n;
    this.commits = [];
    this.confirmed = toLsn(1000n);
  }

  copy(): void {
    const { log, ledger, record } = this;
    this.#copy = { log: log && { ...log, entries: [...log.entries] }, ledger, record };
  }
  restore(parts: readonly ('log' | 'ledger' | 'record')[]): void {
    if (this.#copy === undefined) return;
    const { log, ledger, record } = this.#copy;
    if (parts.includes('log')) this.log = log && { ...log, entries: [...log.entries] };
    if (parts.includes('ledger')) this.ledger = ledger;
    if (parts.includes('record')) this.record = record;
  }
}

const steps = {
  write: (world: World) => world.write(3),
  writeOne: (world: World) => world.write(1),
  read: (world: World) => world.read(2),
  readAll: (world: World) => world.read(Infinity),
  deliver: (world: World) => world.deliver(1),
  deliverAll: (world: World) => world.deliver(Infinity),
  note: (world: World) => world.note(),
  flushDelivered: (world: World) => world.flushDelivered(),
  flushDurable: (world: World) => world.flushDurable(),
  keepalive: (world: World) => world.keepalive(),
  retainSettled: (world: World) => world.retain(0.6, true),
  copy: (world: World) => world.copy(),
} as const;

/** While nothing runs; a start follows. */
const mishaps = {
  restart: () => undefined,
  /** The sink was disabled for a while. */
  retainedUnheld: (world: World) => world.retain(0.5, false),
  logMovedAway: (world: World) => void (world.log = undefined),
  ledgerDeleted: (world: World) => void (world.ledger = undefined),
  storeDeleted: (world: World) => void (world.record = undefined),
  logAndLedgerGone: (world: World) => {
    world.log = undefined;
    world.ledger = undefined;
  },
  logAndStoreGone: (world: World) => {
    world.log = undefined;
    world.record = undefined;
  },
  slotRemade: (world: World) => world.remakeSlot(),
  slotRemadeAndLogGone: (world: World) => {
    world.remakeSlot();
    world.log = undefined;
  },
  promoted: (world: World) => world.promote(),
  newCluster: (world: World) => world.newCluster(),
  logOfYesterday: (world: World) => world.restore(['log']),
  ledgerOfYesterday: (world: World) => world.restore(['ledger']),
  everythingOfYesterday: (world: World) => world.restore(['log', 'ledger', 'record']),
} as const;

type Step = keyof typeof steps | keyof typeof mishaps;

function run(sequence: readonly Step[]): World {
  const world = new World();
  world.write(2);
  world.start();
  for (const step of sequence) {
    if (step in mishaps) {
      mishaps[step as keyof typeof mishaps](world);
      world.write(1);
      world.start();
    } else {
      steps[step as keyof typeof steps](world);
    }
  }
  world.read(Infinity);
  world.deliver(Infinity);
  return world;
}

/** Neither delivered nor said to be missing. */
const silentlyLost = (world: World): number[] =>
  world.everything
    .filter(({ id }) => !world.delivered.has(id) && !world.forgiven.has(id))
    .map(({ id }) => id);

test('after any sequence of mishaps every change is delivered, or lies in a gap that was declared', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...(Object.keys(steps) as (keyof typeof steps)[])) },
    { weight: 1, arbitrary: fc.constantFrom(...(Object.keys(mishaps) as (keyof typeof mishaps)[])) },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 3, maxLength: 30 }), (sequence) => {
      expect(silentlyLost(run(sequence))).toEqual([]);
    }),
    { numRuns: 10_000 },
  );
});

test('with acknowledgement of deliveries a lost log is never a gap', () => {
  const delivering = [
    'write',
    'read',
    'readAll',
    'deliver',
    'deliverAll',
    'flushDelivered',
    'keepalive',
    'note',
  ] as const;
  const gone = ['restart', 'logMovedAway', 'logAndStoreGone'] as const;
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Step>(...delivering) },
    { weight: 1, arbitrary: fc.constantFrom<Step>(...gone) },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 3, maxLength: 30 }), (sequence) => {
      const world = run(sequence);
      expect(world.everything.filter(({ id }) => world.forgiven.has(id))).toEqual([]);
      expect(silentlyLost(world)).toEqual([]);
    }),
    { numRuns: 2000 },
  );
});

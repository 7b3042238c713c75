// What a parting means to one sink: of the changes that the server's history does not have, those that it had delivered are orphans,
// and the others are not sent any more. Counted once, from the log, when the sink takes its place behind the parting.
import type { Logger } from 'pino';
import { formatLsn, ZERO_LSN } from '../../core/lsn.ts';
import type { Parting, Partings } from '../../core/partings.ts';
import { formatPosition } from '../../core/position.ts';
import type { LogReader } from '../../log/reader.ts';
import type { Ledger } from '../../store/ledger.ts';
import type { LostHistory } from '../../store/partings.ts';
import type { SinkId } from '../../store/sink-records.ts';
import type { Store } from '../../store/sqlite.ts';
import { LogWalker } from '../intake/log-walker.ts';
import type { SinkSettings } from '../settings.ts';
import { LostRows, type Lost, type LostFacts } from './lost-rows.ts';

/** A sink that takes its place, with what is needed to account for what it has not yet. */
export type Accounting = {
  readonly id: SinkId;
  readonly store: Pick<Store, 'partings' | 'deadLetters' | 'skipped'>;
  readonly settings: SinkSettings;
  readonly partings: Partings;
  /** Nothing of what was logged before is its to have had. */
  readonly isNew: boolean;
  readonly ledger: Pick<Ledger, 'wasSettled' | 'wasPartSettled'>;
  /** Do markers make it skip changes now? */
  readonly heedsSkips: boolean;
  readonly reader: LogReader;
  readonly writtenEnd: number;
  readonly logger: Logger;
};

/** Invariant 3: on record before the sink passes over anything of a lost history. */
export async function accountForLost(accounting: Accounting): Promise<void> {
  const { id, store, partings, isNew } = accounting;
  if (partings.length === 0) return;
  const before = [...store.partings.ofSink(id)];
  for (const parting of partings) {
    if (before.some(({ epoch }) => epoch === parting.epoch)) continue;
    const lost = isNew ? NOTHING : await findLost(parting, { ...accounting, ...factsOf(accounting, before) });
    const { discarded, orphaned } = lost;
    const accounted = { ...parting, discarded, orphaned };
    store.partings.account(id, accounted, lost.orphans);
    before.push(accounted);
    if (discarded + orphaned > 0) say(accounting, accounted);
  }
}

const NOTHING: Lost = { discarded: 0, orphaned: 0, orphans: [] };

function factsOf(
  { id, store, ledger, heedsSkips }: Accounting,
  before: Partings,
): Pick<LostFacts, 'before' | 'wasSettled' | 'wasTold' | 'isDeadLetter' | 'heedsSkip'> {
  const letters = { row: new Set<string>(), schema: new Set<string>() };
  for (const { position, action } of store.deadLetters.places(id, { epoch: 0 }))
    if (action !== 'begin' && action !== 'commit')
      letters[action === 'schema' ? 'schema' : 'row'].add(formatPosition(position));
  const skipped = new Set(store.skipped.list(id).map(({ epoch, commitLsn }) => `${epoch}:${commitLsn}`));
  return {
    before: [...before],
    heedsSkip: (epoch, commitLsn) => heedsSkips || skipped.has(`${epoch}:${formatLsn(commitLsn)}`),
    wasSettled: (epoch, commitLsn, index) =>
      ledger.wasSettled(epoch, commitLsn, index) || ledger.wasPartSettled('row', epoch, commitLsn, index),
    wasTold: (epoch, commitLsn, index) =>
      ledger.wasSettled(epoch, commitLsn, index) || ledger.wasPartSettled('schema', epoch, commitLsn, index),
    isDeadLetter: (what, epoch, commitLsn, index) =>
      letters[what].size > 0 && letters[what].has(formatPosition({ epoch, commitLsn, index })),
  };
}

function say({ id, logger }: Accounting, { lsn, epoch, discarded, orphaned }: LostHistory): void {
  logger.error(
    { ...id, parting: formatLsn(lsn), epoch, discarded, orphaned },
    `sink "${id.sink}": of the history that is lost ${orphaned} changes were delivered (tailrace status --orphans), and ${discarded} are not sent any more`,
  );
}

/** As far as the log still has them: what it has let go of, every sink that it was kept for had settled. */
async function findLost(
  parting: Parting,
  facts: LostFacts & Pick<Accounting, 'reader' | 'writtenEnd'>,
): Promise<Lost> {
  const { reader, writtenEnd } = facts;
  const lost = new LostRows(parting, facts);
  const start = await reader.findLsn(parting.lsn);
  if (start === undefined) return lost;
  const walker = new LogWalker('', { position: start, endLsn: ZERO_LSN, offset: 0 }, lost);
  const stopping = new AbortController();
  for await (const block of reader.read({ position: start }, stopping.signal)) {
    if (!block.prologue && !block.relationsOnly && block.context.epoch >= parting.epoch) break;
    void walker.block(block, stopping.signal);
    if (block.blockEnd >= writtenEnd) break;
  }
  return lost;
}

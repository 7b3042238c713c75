// Moves a sink's cursor back within the log: the real changes from there on are delivered again.
import { TailraceError } from '../../core/errors.ts';
import { lifeOf } from '../../core/log-life.ts';
import { formatLsn, toLsn } from '../../core/lsn.ts';
import { comparePositions, type Position } from '../../core/position.ts';
import type { LogReader } from '../../log/reader.ts';
import type { Cursor } from '../../store/ledger.ts';
import {
  after,
  before,
  cursorAt,
  idOf,
  openPlace,
  publish,
  type PlaceOptions,
  type SinkPlace,
} from './place.ts';
import type { RewindTarget, SinkAnswer, SinkRequest } from './requests.ts';
import { positionOfLsn } from './start.ts';

type RewindRequest = Extract<SinkRequest, { type: 'rewind' }>;

/**
 * Nobody may have the sink's ledger. The store's word decides it (`:rN` of deduplication ids with it); the ledger follows
 * when the sink takes its place again, so a crash in between leaves it rewound or as it was, never half.
 */
export async function rewindSink(
  options: PlaceOptions,
  to: RewindTarget,
): Promise<SinkAnswer<RewindRequest>['reply']> {
  const { settings, store, logger } = options;
  if (settings.status === 'disabled') throw disabled(settings.name);
  const place = await openPlace(options);
  const { ledger, reader, start, offset, partings } = place;
  ledger.close();
  try {
    const position = await positionOf(to, options, place);
    if (comparePositions(position, start.position) > 0) throw forward(options, start);
    const cursor = cursorAt(position, reader);
    // Held first, then looked at again: retention, in another thread, must not take what was just found.
    publish(options, cursor, { offset: reader.locate(before(position)).offset, partings });
    if (!isRetained(position, reader)) {
      publish(options, start, { offset, partings });
      throw notRetained(options, reader);
    }
    const { rewinds, withdrawn } = store.sinks.rewind(idOf(options), { cursor, log: lifeOf(options.log) });
    const from = formatLsn(position.commitLsn);
    logger.warn({ sink: settings.name, from, rewinds, withdrawnDeadLetters: withdrawn }, 'sink is rewound');
    return { rewinds, from, withdrawnDeadLetters: withdrawn };
  } finally {
    reader.close();
  }
}

/** The position of the first change to deliver again. */
async function positionOf(
  to: RewindTarget,
  options: PlaceOptions,
  { reader, start }: SinkPlace,
): Promise<Position> {
  const { signals } = options;
  switch (to.from) {
    case 'earliest': {
      const first = await reader.findTime(0n);
      if (first === undefined) throw nothingThere(options);
      // It may not have settled even that: then it stands at the earliest already.
      return comparePositions(after(first), start.position) > 0 ? start.position : after(first);
    }
    case 'lsn': {
      const position = await positionOfLsn(toLsn(to.lsn), reader, signals.epoch());
      if (!isRetained(position, reader)) throw notRetained(options, reader);
      return position;
    }
    case 'time': {
      const firstUs = reader.firstCommitTimeUs();
      const isTrimmed = !isRetained({ ...ORIGINAL_START }, reader);
      if (isTrimmed && firstUs !== undefined && to.timeUs < firstUs) throw notRetained(options, reader);
      const found = await reader.findTime(to.timeUs);
      if (found === undefined) throw nothingThere(options);
      return after(found);
    }
    default:
      return to satisfies never;
  }
}

/** Before the first change that a log ever had. */
const ORIGINAL_START: Position = { epoch: 0, commitLsn: toLsn(0n), index: 0 };

const isRetained = (position: Position, reader: LogReader): boolean =>
  comparePositions(before(position), reader.firstPosition()) >= 0;

function notRetained({ settings }: PlaceOptions, reader: LogReader): TailraceError {
  const firstUs = reader.firstCommitTimeUs();
  const since =
    firstUs === undefined ? '' : ` (committed at ${new Date(Number(firstUs / 1000n)).toISOString()})`;
  const { commitLsn } = reader.firstPosition();
  return new TailraceError(
    `sink "${settings.name}" cannot be rewound that far: the change log begins after LSN ${formatLsn(commitLsn)}${since}`,
    {
      code: 'REWIND_NOT_RETAINED',
      kind: 'fatal',
      hint: 'rewind to "earliest" for all that is there; log.retention and log.max_bytes say how much is kept',
    },
  );
}

const forward = ({ settings }: PlaceOptions, start: Cursor): TailraceError =>
  new TailraceError(
    `sink "${settings.name}" has not settled that yet: it stands at LSN ${formatLsn(start.position.commitLsn)}, and a rewind goes back only`,
    { code: 'REWIND_FORWARD', kind: 'fatal', hint: 'name an LSN or a time before that' },
  );

const nothingThere = ({ settings }: PlaceOptions): TailraceError =>
  new TailraceError(`sink "${settings.name}": the change log holds nothing committed at that time or later`, {
    code: 'REWIND_FORWARD',
    kind: 'fatal',
    hint: 'name a time before the last change',
  });

const disabled = (sink: string): TailraceError =>
  new TailraceError(`sink "${sink}" is disabled: it holds nothing in the log`, {
    code: 'SINK_DISABLED',
    kind: 'fatal',
    hint: `pause it first (tailrace pause ${sink}), or let it run`,
  });

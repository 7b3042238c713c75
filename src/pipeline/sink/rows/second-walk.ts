// Walks the log a second time, behind the sink's own walk and never past it: what it has of some rows comes again, in the same groups.
//
// In order, and never stale: of a row that is followed all retained changes come again in the order of the log, up to where the sink
// itself has read. What the sink lets in meanwhile comes again behind them, until both stand at one place.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TailraceError } from '../../../core/errors.ts';
import { ZERO_LSN } from '../../../core/lsn.ts';
import { isLost, type Partings } from '../../../core/partings.ts';
import { comparePositions, ORIGIN, type Position } from '../../../core/position.ts';
import type { LogReader, ReadFrom } from '../../../log/reader.ts';
import type { Salts } from '../../../store/renumbered.ts';
import { LogWalker, type LoggedRow, type WalkHead, type WalkPorts } from '../../intake/log-walker.ts';
import type { RowIntake } from '../../intake/row-intake.ts';
import type { FollowedRows } from './followed-rows.ts';

export type SecondWalkPorts = {
  readonly reader: Pick<LogReader, 'read'>;
  readonly streamKey: string;
  readonly salts: Salts;
  readonly partings: Partings;
  /** The sink's own walk. */
  readonly first: Pick<LogWalker, 'head' | 'isInHand'>;
  /** Of its own: relations are others here than where the sink stands. */
  readonly intake: Pick<RowIntake, keyof WalkPorts | 'halt'>;
  readonly followed: FollowedRows;
  /** Its sink, by name. */
  readonly sink: string;
  /** What is before it is settled. */
  readonly from: Position;
  /** Resolves when more may be let in, or the walk is to end. */
  readonly untilRoom: () => Promise<void>;
  /** So far it has come: everything before has been let in. */
  readonly walked: (head: WalkHead) => void;
};

/** The first change that a log may have. */
const BEGINNING: Position = { ...ORIGIN, index: 0 };

export class SecondWalk implements WalkPorts {
  readonly #ports: SecondWalkPorts;
  /** What is before it has been let in. */
  #from: Position;
  /** The first change of a followed row that was left to the sink itself. */
  #left: Position | undefined;

  constructor(ports: SecondWalkPorts) {
    this.#ports = ports;
    this.#from = ports.from;
  }

  /** Until both walks stand at one place, or `signal` aborts. Rejects with what the sink's settings do not fit, or as reading does. */
  async run(signal: AbortSignal): Promise<void> {
    for (let from: ReadFrom | undefined = 'earliest'; from !== undefined && !signal.aborted;)
      from = await this.#walk(from, signal);
  }

  /** Where to go on from; undefined: it is done. */
  async #walk(from: ReadFrom, signal: AbortSignal): Promise<ReadFrom | undefined> {
    const { reader, streamKey, salts, first, intake, untilRoom, walked } = this.#ports;
    const walker = new LogWalker(
      streamKey,
      { position: BEGINNING, endLsn: ZERO_LSN, offset: 0 },
      this,
      salts,
    );
    this.#left = undefined;
    if (isAtOrBehind(BEGINNING, first.head.position)) return undefined;
    for await (const block of reader.read(from, signal)) {
      await untilRoom();
      if (signal.aborted) return undefined;
      await walker.block(block, signal);
      if (intake.halt !== undefined) throw intake.halt satisfies TailraceError;
      // What the sink has in hand may be let in already, and its head does not say so yet.
      while (first.isInHand && !signal.aborted) await nextTurn();
      if (signal.aborted) return undefined;
      const { head } = walker;
      const left = this.#leftOver();
      if (left !== undefined) {
        if (isAtOrBehind(left, first.head.position)) return undefined;
        // While the rows before it were let in, the sink has sent it: it comes again behind them.
        this.#from = left;
        return { position: { ...left, index: left.index - 1 } };
      }
      walked(head);
      if (isAtOrBehind(head.position, first.head.position)) return undefined;
      await nextTurn();
    }
    return undefined;
  }

  #leftOver(): Position | undefined {
    return this.#left;
  }

  marker: WalkPorts['marker'] = (transaction, message) => this.#ports.intake.marker(transaction, message);
  markersLost: WalkPorts['markersLost'] = (transaction) => this.#ports.intake.markersLost(transaction);
  committed: WalkPorts['committed'] = (commit) => this.#ports.intake.committed(commit);
  letIn: WalkPorts['letIn'] = (signal) => this.#ports.intake.letIn(signal);
  relation: WalkPorts['relation'] = (relation) => {
    this.#ports.followed.relation(relation);
    this.#ports.intake.relation(relation);
  };
  reads: WalkPorts['reads'] = (relation, sinks) => {
    const { followed, intake, sink } = this.#ports;
    if (sinks?.includes(sink) === false) followed.forget(relation.id);
    else followed.relation(relation);
    intake.reads(relation, sinks);
  };
  /** Who makes the intake knows which tables were emptied: the sink's own walk comes there first. */
  truncate(): void {}
  /** Whose row it is, nobody knows: it is among the dead letters. */
  oversize(): void {}

  row(row: LoggedRow): void {
    const { followed, partings, first, intake } = this.#ports;
    if (followed.follow(row).length === 0 || isLost(partings, row.transaction)) return;
    const { epoch, commitLsn } = row.transaction;
    const position = { epoch, commitLsn, index: row.index };
    if (comparePositions(position, this.#from) < 0) return;
    if (this.#left !== undefined) return;
    if (isAtOrBehind(position, first.head.position)) this.#left = position;
    else intake.row(row);
  }
}

const isAtOrBehind = (position: Position, head: Position): boolean => comparePositions(position, head) >= 0;

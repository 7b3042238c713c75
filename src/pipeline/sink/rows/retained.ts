// Walks all that the log retains, for whoever looks at it from its beginning: which tables were emptied there, and where.
import { ZERO_LSN } from '../../../core/lsn.ts';
import { isLost, type Partings } from '../../../core/partings.ts';
import { comparePositions, ORIGIN, type Position } from '../../../core/position.ts';
import type { LogReader } from '../../../log/reader.ts';
import { LogWalker, type LoggedRow, type WalkPorts } from '../../intake/log-walker.ts';

/** Up to the offset at which the log ended when `end` was asked. Rejects where retention overtakes it. */
export async function walkRetained(
  ports: WalkPorts,
  { reader, end }: { readonly reader: Pick<LogReader, 'read'>; readonly end: number },
  signal: AbortSignal,
): Promise<void> {
  if (end === 0) return;
  const walker = new LogWalker('', { position: ORIGIN, endLsn: ZERO_LSN, offset: 0 }, ports);
  for await (const block of reader.read('earliest', signal)) {
    await walker.block(block, signal);
    if (block.blockEnd >= end) return;
  }
}

/** What somebody does who only looks: of transactions nothing, and nothing is let in. */
export const ONLOOKER: Omit<WalkPorts, 'relation' | 'reads' | 'row' | 'truncate'> = {
  marker: (transaction) => transaction,
  markersLost: () => undefined,
  committed: () => undefined,
  oversize: () => undefined,
  letIn: () => true,
};

/** By relation, where it was emptied last: what its rows were before says nothing of rows that are there now. */
export class Emptied {
  readonly #at = new Map<number, Position>();
  readonly #partings: Partings;

  constructor(partings: Partings) {
    this.#partings = partings;
  }

  note({ relationId, transaction, index }: LoggedRow): void {
    const { epoch, commitLsn } = transaction;
    if (isLost(this.#partings, transaction)) return;
    const position = { epoch, commitLsn, index };
    const before = this.#at.get(relationId);
    if (before === undefined || comparePositions(before, position) < 0) this.#at.set(relationId, position);
  }

  /** Was its table emptied behind it? Rows that were read have the relation's id with a minus. */
  isBehind(position: Position, relationId: number): boolean {
    const at = this.#at.get(Math.abs(relationId));
    return at !== undefined && comparePositions(position, at) < 0;
  }
}

/** Notes all that the log says of it so far. */
export async function noteEmptied(
  emptied: Emptied,
  log: Parameters<typeof walkRetained>[1],
  signal: AbortSignal,
): Promise<void> {
  const nothing = (): void => undefined;
  const ports = { relation: nothing, reads: nothing, row: nothing };
  await walkRetained({ ...ONLOOKER, ...ports, truncate: (row) => emptied.note(row) }, log, signal);
}

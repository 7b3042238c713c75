// Where a sink cannot go on: it lets in what came before, takes nothing from there on, and says what it waits at.
import { TailraceError } from '../../core/errors.ts';
import { formatPosition } from '../../core/position.ts';
import type { LoggedRow } from './log-walker.ts';

/** The error as what the sink waits at: with the place of the change, and since when it is there. */
export function haltedAt(
  { transaction, index }: Pick<LoggedRow, 'transaction' | 'index'>,
  error: TailraceError,
): TailraceError {
  const { epoch, commitLsn, commitTimeUs } = transaction;
  const place = formatPosition({ epoch, commitLsn, index });
  const since = new Date(Number(commitTimeUs / 1000n)).toISOString();
  const { code, kind, mend, hint, cause } = error;
  return new TailraceError(`${error.message}; the sink waits at the change ${place}, committed at ${since}`, {
    code,
    kind,
    mend,
    hint,
    cause,
  });
}

// A change, or a transaction, as it is named on the command line.
import { parseLsn, toLsn, type Lsn } from '../../core/lsn.ts';

export type Place = {
  readonly lsn: Lsn;
  /** Undefined: every change of the transaction. */
  readonly index: number | undefined;
  /** Undefined: in whichever history. */
  readonly epoch: number | undefined;
};

/** `LSN`, `LSN:INDEX` or, as dead letters are listed, `EPOCH:LSN:INDEX`; an LSN is `16/B374D848` or the number in messages. Undefined: none of these. */
export function parsePlace(text: string): Place | undefined {
  const match = /^(?:(\d{1,9}):(?=.*:))?([^:]+)(?::(\d{1,10}))?$/.exec(text);
  const [, epoch, lsn = '', index] = match ?? [];
  const found = parseLsn(lsn) ?? (/^\d{1,20}$/.test(lsn) ? toLsn(BigInt(lsn)) : undefined);
  if (found === undefined) return undefined;
  return {
    lsn: found,
    index: index === undefined ? undefined : Number(index),
    epoch: epoch === undefined ? undefined : Number(epoch),
  };
}

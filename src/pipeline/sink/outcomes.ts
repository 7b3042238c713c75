// What becomes of a sink's messages: settled in the ledger, kept as dead letters, or given back to the dead letters they came from.
import { TailraceError, type DeliveryError } from '../../core/errors.ts';
import type { Outcomes } from '../delivery/outcomes.ts';
import type { Pending } from '../delivery/pending.ts';
import type { RepeatedLines } from '../../telemetry/repeated-lines.ts';
import type { LedgerWrites } from './ledger-writes.ts';
import type { LoadShedding } from './load-shedding.ts';
import type { ReplayedLetters } from './replayed-letters.ts';
import type { RowRewinds } from './rows/row-rewinds.ts';
import type { Settlement } from './settlement.ts';

export type SinkOutcomePorts = {
  readonly sink: string;
  readonly replayed: Pick<ReplayedLetters, 'settled' | 'refused'>;
  readonly rowRewinds: Pick<RowRewinds, 'settled'>;
  readonly ledger: Pick<LedgerWrites, 'remember' | 'rememberParts' | 'record'>;
  readonly settlement: Pick<Settlement, 'soon' | 'answered'>;
  readonly shedding: Pick<LoadShedding, 'count'>;
  /** Makes a dead letter of a message of the log; durable when it returns. */
  keepDeadLetter(message: Pending, error: DeliveryError): void;
  /** The sink cannot go on. */
  fail(error: unknown): void;
  readonly repeated: Pick<RepeatedLines, 'say'>;
};

export function sinkOutcomes(ports: SinkOutcomePorts): Outcomes {
  const { sink, replayed, rowRewinds, ledger, settlement, shedding, repeated } = ports;
  return {
    settled: (messages) => {
      const ofTheLog = rowRewinds.settled(replayed.settled(messages));
      const isSplit = ofTheLog.some(({ split }) => split !== undefined);
      const changes = isSplit ? ofTheLog.filter((message) => message.settlesChange) : ofTheLog;
      if (changes.length > 0) ledger.remember(changes);
      const parts = isSplit ? ofTheLog.filter(({ split }) => split?.isSettled === false) : [];
      if (parts.length > 0) ledger.rememberParts(parts);
      settlement.soon();
    },
    deadLetter: (message, error) => {
      const isReplayed = message.letterId !== 0;
      if (isReplayed) replayed.refused(message, error);
      else ports.keepDeadLetter(message, error);
      const what = isReplayed ? 'a replayed dead letter was refused again' : 'dead letter';
      repeated.say({
        level: 'error',
        message: what,
        fields: { sink, change: message.idempotencyKey, code: error.code, hint: error.hint },
        kind: `${what} ${error.code}`,
      });
    },
    discarded: (changes) => {
      shedding.count(changes);
      settlement.soon();
    },
    record: () => {
      ledger.record();
      settlement.answered();
    },
    broken: (error) => ports.fail(error),
    halted: (error) => ports.fail(haltError(sink, error)),
  };
}

const haltError = (sink: string, error: DeliveryError): TailraceError =>
  new TailraceError(`sink "${sink}" halts: ${error.code}`, {
    code: error.code,
    kind: 'fatal',
    hint: error.hint,
  });

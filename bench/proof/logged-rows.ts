// What a change log holds of a backfill, row by row: read by the proof itself, once nobody writes to it.
import { join } from 'node:path';
import { createRowEvent } from '../../src/core/change.ts';
import { logDirectory } from '../../src/data-directory/places.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { LogSignals } from '../../src/log/signals.ts';
import { showLog, type SurveyOptions } from '../../src/log/survey.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../../src/pgoutput/frames.ts';
import { decodeRow } from '../../src/pgoutput/messages.ts';

export type LoggedRows = {
  /** Rows of backfills. */
  readonly reads: number;
  /** Rows that are there more than once: more often than once each. */
  readonly twice: number;
};

/** Of the table whose first column is a number up to `maxRows`. */
export async function loggedRows(
  directory: string,
  identity: SurveyOptions['identity'],
  maxRows: number,
): Promise<LoggedRows> {
  const signals = new LogSignals();
  const log = logDirectory({ dataDir: join(directory, 'data') }, 'bench');
  const shown = showLog({ directory: log, identity, signals, version: '0.0.0', knownEpoch: 0 });
  if (shown === undefined) throw new Error(`the log in ${log} cannot be read`);
  const times = new Uint8Array(maxRows + 1);
  const event = createRowEvent();
  const done = new AbortController();
  const reader = openLogReader(log, signals);
  const end = signals.writtenEnd();
  let reads = 0;
  let twice = 0;
  for await (const { buffer, start, end: blockDone, blockEnd } of reader.read('earliest', done.signal)) {
    for (let at = start; at < blockDone;) {
      const body = at + FRAME_HEADER_BYTES;
      at = body + buffer.readUInt32BE(at);
      if (buffer[body] !== FRAME.read) continue;
      decodeRow(buffer, body, at, event);
      const { starts, lengths } = event.newTuple;
      const id = Number(buffer.toString('latin1', starts[0], starts[0]! + lengths[0]!));
      reads++;
      if (times[id]!++ > 0) twice++;
    }
    if (blockEnd >= end) break;
  }
  done.abort();
  reader.close();
  return { reads, twice };
}

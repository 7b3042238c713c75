// What a sink pays to remember that a message is settled: requests of ten, written once for each.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ZERO_LSN } from '../../src/core/lsn.ts';
import { createLedger } from '../../src/store/ledger.ts';
import { transaction } from './rows.ts';
import { timePerRow, type Stage } from './stage.ts';

const ROWS = 200_000;
const BATCH = 10;

export function stages(): Stage[] {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-bench-ledger-'));
  const ledger = createLedger(
    join(directory, 'ledger'),
    { database: 'bench', sink: 'bench', log: undefined },
    { position: { epoch: 0, commitLsn: ZERO_LSN, index: 0 }, endLsn: ZERO_LSN },
  );
  try {
    const settle = (requestsAWrite: number): number =>
      timePerRow(ROWS, (rows) => {
        for (let index = 0; index < rows; index += BATCH) {
          ledger.settle(Array.from({ length: BATCH }, (_, i) => ({ transaction, index: index + i })));
          if ((index / BATCH) % requestsAWrite === 0) ledger.write();
        }
      });
    return [
      { stage: 'ledger', usPerRow: settle(1), note: 'one write for each request of ten' },
      { stage: 'ledger (8 requests a write)', usPerRow: settle(8), note: 'as under load' },
    ];
  } finally {
    ledger.close();
    rmSync(directory, { recursive: true });
  }
}

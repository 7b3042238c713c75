// Dead letters for tests of what keeps, shows and sends them.
import { toLsn } from '../../src/core/lsn.ts';
import type { DeadLetter } from '../../src/store/dead-letters.ts';

export const SINK = { database: 'shop', sink: 'users' } as const;

/** The letter of the change at commit LSN `commit`, of the row `public.t` with the group `group`. */
export const letterAt = (commit: number, changes: Partial<DeadLetter> = {}): DeadLetter => ({
  ...SINK,
  position: { epoch: 0, commitLsn: toLsn(BigInt(commit)), index: 0 },
  idempotencyKey: `key-1-${commit.toString(16)}-0`,
  schema: 'public',
  table: 't',
  action: 'insert',
  group: 'g',
  route: 'q',
  payload: Buffer.from(`{"commit":${commit}}`),
  payloadBytes: 10,
  code: 'BAD',
  reason: 'refused',
  attempts: 1,
  ...changes,
});

import { expect, test } from 'vitest';
import { isNote } from '../../../src/postgres/preflight/finding.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import type { ReplicationConnection } from '../../../src/postgres/connection/connection.ts';
import { ZERO_LSN } from '../../../src/core/lsn.ts';
import { inspectStreaming } from '../../../src/postgres/preflight/streaming.ts';
import {
  parseError,
  startCommand,
  streamFault,
  streamsInProgress,
} from '../../../src/postgres/replication/protocol.ts';
import type { StreamOptions } from '../../../src/postgres/replication/stream.ts';

const connection = {
  settings: { name: 'shop' },
  target: { host: 'db', port: 5432 },
} as unknown as ReplicationConnection;
const options = { slot: 'tailrace', publication: 'tailrace' } as unknown as StreamOptions;

const refused = (fields: string): ReturnType<typeof streamFault> =>
  streamFault(parseError(Buffer.from(fields)), connection, options);

test('a missing publication and a missing slot are told apart in any language of the server', () => {
  const publication =
    'SFEHLER\0VERROR\0C42704\0MPublikation »tailrace« existiert nicht\0Rget_publication_oid\0\0';
  const slot =
    'SERREUR\0VERROR\0C42704\0Mle slot de réplication « publication » n’existe pas\0RReplicationSlotAcquire\0\0';
  expect(refused(publication)).toMatchObject({ code: 'DECODING_STOPPED', mend: 'retry' });
  expect(refused(slot)).toMatchObject({ code: 'SLOT_MISSING', mend: 'operator' });
});

test('transactions in progress are asked for by protocol 2, and only then', () => {
  const command = (inProgress: boolean): string =>
    startCommand({ ...options, startLsn: ZERO_LSN, inProgress });
  expect(command(false)).toContain(`proto_version '1'`);
  expect(command(false)).not.toContain('streaming');
  expect(command(true)).toContain(`proto_version '2'`);
  expect(command(true)).toContain(`streaming 'on'`);
});

test('a server that cannot send them says so where that is wanted, and is read all the same', () => {
  const wanted = databaseSettings(
    { name: 'shop', host: 'db', port: 5432 },
    { slot: { streaming: { maxSpooledBytes: 1 } } },
  );
  const unwanted = databaseSettings({ name: 'shop', host: 'db', port: 5432 });
  expect([130_020, 140_000].map(streamsInProgress)).toEqual([false, true]);
  expect(inspectStreaming(130_020, unwanted)).toEqual([]);
  const [finding] = inspectStreaming(130_020, wanted);
  expect(finding).toMatchObject({ ok: false, severity: 'warning', code: 'STREAMING_UNSUPPORTED' });
  expect(isNote(finding!)).toBe(true);
  expect(inspectStreaming(140_000, wanted)).toMatchObject([{ ok: true }]);
});

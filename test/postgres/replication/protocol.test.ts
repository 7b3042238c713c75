import { expect, test } from 'vitest';
import type { ReplicationConnection } from '../../../src/postgres/connection/connection.ts';
import { parseError, streamFault } from '../../../src/postgres/replication/protocol.ts';
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

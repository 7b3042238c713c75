// Before the first byte of the stream: what a database needs, and its history, asked of a pretended server.
import type { Client } from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { TailraceError } from '../../../src/core/errors.ts';
import { prepareDatabase, provingServer, readHistory } from '../../../src/pipeline/source/start.ts';
import { closeConnection, connectReplication } from '../../../src/postgres/connection/connection.ts';
import { findPrimary, type Primary } from '../../../src/postgres/connection/hosts.ts';
import type { Slot } from '../../../src/postgres/preflight/slot.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { patient } from '../../support/messages.ts';
import { fakeDatabase, startFakePostgres, type FakePostgres } from '../../support/fake-postgres.ts';

/** A server and an ordinary connection to it, for the test. */
async function connected(
  changes: Parameters<typeof startFakePostgres>[0] = {},
): Promise<Primary & { readonly postgres: FakePostgres }> {
  const postgres = await startFakePostgres(changes);
  const primary = await findPrimary(databaseSettings(fakeDatabase(postgres)));
  onTestFinished(() => closeConnection(primary.client));
  return { ...primary, postgres };
}

describe('the server’s history', () => {
  async function historyOf(changes: Parameters<typeof startFakePostgres>[0]) {
    const { postgres, target } = await connected(changes);
    const connection = await connectReplication(databaseSettings(fakeDatabase(postgres)), target);
    onTestFinished(() => closeConnection(connection.client));
    return { history: await readHistory(connection), asked: postgres.asked };
  }

  test('of a first timeline is not asked for: there is none', async () => {
    const { history, asked } = await historyOf({ walEnd: 1234n });
    expect(history).toEqual({
      current: 1,
      switches: [],
      systemIdentifier: '7000000000000000001',
      walEnd: 1234n,
    });
    expect(asked.some((sql) => sql.startsWith('TIMELINE_HISTORY'))).toBe(false);
  });

  test('of a later one names where each ended', async () => {
    const { history } = await historyOf({ timeline: 3, timelineHistory: '1\t0/10\tx\n2\t0/20\ty\n' });
    expect(history).toMatchObject({
      current: 3,
      switches: [
        { timeline: 1, switchLsn: 0x10n },
        { timeline: 2, switchLsn: 0x20n },
      ],
    });
  });
});

describe('a database is prepared', () => {
  async function prepare(
    changes: Parameters<typeof startFakePostgres>[0] = {},
    settings: Parameters<typeof databaseSettings>[1] = {},
    beforeMaking: () => Promise<void> = () => Promise.resolve(),
  ) {
    const { postgres, client, target } = await connected(changes);
    const prepared = prepareDatabase({
      client,
      target,
      primary: undefined,
      settings: databaseSettings(fakeDatabase(postgres), settings),
      selections: [{}],
      walsender: { instance: 'test', life: 1, nonce: 'a', connection: 1 },
      beforeMaking,
      onSlotWait: () => undefined,
      onEnded: () => undefined,
      mayRemake: false,
      signal: patient,
    });
    return { postgres, prepared };
  }
  const isSlotMade = (sql: string): boolean => sql.includes('pg_create_logical_replication_slot');

  test('by looking only, where all is there', async () => {
    const { postgres, prepared } = await prepare();
    expect(await prepared).toMatchObject({
      slotCreated: false,
      published: undefined,
      slot: { confirmedFlush: 100n },
      streamOptions: { publication: 'pub_app', via_root: 'true', messages: 'true' },
      preflight: { databaseOid: 5, senderTimeoutMs: 60_000 },
    });
    expect(postgres.asked.filter((sql) => isSlotMade(sql) || sql.startsWith('CREATE'))).toEqual([]);
  });

  test('with the publication before the slot: what is written between the two must be decodable', async () => {
    const { postgres, prepared } = await prepare({ slot: undefined, publication: undefined });
    postgres.server.override = (sql) => {
      if (sql.startsWith('COMMENT')) return [];
      if (!sql.startsWith('CREATE PUBLICATION')) return undefined;
      postgres.server.publication = ['items'];
      return [];
    };
    expect(await prepared).toMatchObject({
      slotCreated: true,
      published: { tables: [{ schema: 'public', table: 'items' }], from: '0/3E8' },
    });
    const publication = postgres.asked.findIndex((sql) => sql.startsWith('CREATE PUBLICATION'));
    expect(publication).toBeGreaterThan(-1);
    expect(postgres.asked.findIndex(isSlotMade)).toBeGreaterThan(publication);
  });

  test('with nothing made on a server that is refused before', async () => {
    const refused = new TailraceError('parted', { code: 'HISTORY_PARTED', kind: 'fatal' });
    const refuse = (): Promise<void> => Promise.reject(refused);
    const { postgres, prepared } = await prepare({ slot: undefined, publication: undefined }, {}, refuse);
    await expect(prepared).rejects.toBe(refused);
    expect(postgres.asked.filter((sql) => isSlotMade(sql) || sql.startsWith('CREATE'))).toEqual([]);
    // Where the slot is there, what it sends tells.
    await expect((await prepare({}, {}, refuse)).prepared).resolves.toMatchObject({ slotCreated: false });
  });

  test('by nobody who has not asked for it: what is missing is named, all of it, with the cures', async () => {
    const { prepared } = await prepare(
      { slot: undefined, publication: undefined },
      { slot: { createIfNotExists: false }, publication: { createIfNotExists: false } },
    );
    await expect(prepared).rejects.toMatchObject({
      kind: 'fatal',
      message: expect.stringMatching(/slot .*publication /) as string,
      hint: expect.stringMatching(/pg_create_logical_replication_slot.*CREATE PUBLICATION/) as string,
    });
  });

  test('again, when what was made is gone at once', async () => {
    const { postgres, prepared } = await prepare({ slot: undefined });
    postgres.server.override = (sql) => (isSlotMade(sql) ? [{ lsn: '0/64' }] : undefined);
    await expect(prepared).rejects.toMatchObject({
      code: 'NOT_MADE',
      kind: 'retryable',
      message: expect.stringContaining('slot vanished') as string,
    });
  });

  test('not while somebody makes its slot, nor while another process streams from it', async () => {
    const being = await prepare({ slot: { confirmedFlush: 100n, activePid: 7, beingMade: true } });
    await expect(being.prepared).rejects.toMatchObject({ code: 'SLOT_BEING_MADE', kind: 'retryable' });
    const used = await prepare({ slot: { confirmedFlush: 100n, activePid: 7 } });
    await expect(used.prepared).rejects.toMatchObject({
      code: 'SLOT_IN_USE',
      kind: 'retryable',
      hint: expect.stringContaining('pg_terminate_backend(7)') as string,
    });
  });

  test('without logical messages where the server sends none (C141, C258)', async () => {
    const { prepared } = await prepare({ serverVersion: 130_000 });
    expect((await prepared).streamOptions['messages']).toBe('false');
  });

  test('with notes for status of what is no fault, which degrade nothing', async () => {
    const { prepared } = await prepare({ encoding: 'SQL_ASCII' });
    const { notices, notes } = await prepared;
    expect({ notices, notes }).toEqual({ notices: [], notes: [expect.stringContaining('SQL_ASCII')] });
  });

  test('with warnings for status, which keep nobody from streaming', async () => {
    const { prepared } = await prepare({ slot: { confirmedFlush: 100n, walStatus: 'unreserved' } });
    expect((await prepared).notices).toEqual([expect.stringContaining('max_slot_wal_keep_size')]);
  });
});

describe('a slot that was made on a server', () => {
  const slot = { name: "it's" } as Slot;
  const parted = new TailraceError('parted', { code: 'HISTORY_PARTED', kind: 'fatal', hint: 'decide' });

  /** What is asked of a server that proves to be `outcome`. */
  async function askedWhere(
    outcome: Error | 'ours',
    {
      slotCreated = true,
      drop = () => Promise.resolve({ rows: [] }),
    }: { slotCreated?: boolean; drop?: () => Promise<unknown> } = {},
  ) {
    const asked: unknown[] = [];
    const client = {
      query: (sql: string, values: unknown) => {
        asked.push([sql, values]);
        return drop();
      },
    } as unknown as Client;
    const proving = provingServer({ slotCreated, slot }, client, () =>
      outcome === 'ours' ? Promise.resolve(outcome) : Promise.reject(outcome),
    );
    return { asked, ended: await proving.catch((error: unknown) => error) };
  }

  test('that is not the log’s goes again, and only then', async () => {
    const dropped = [['select pg_drop_replication_slot($1)', ["it's"]]];
    const stranger = new TailraceError('of another cluster', { code: 'LOG_IDENTITY', kind: 'fatal' });
    expect(await askedWhere(parted)).toEqual({ asked: dropped, ended: parted });
    expect(await askedWhere(stranger)).toEqual({ asked: dropped, ended: stranger });
    expect(await askedWhere(parted, { slotCreated: false })).toEqual({ asked: [], ended: parted });
    expect((await askedWhere('ours')).asked).toEqual([]);
    expect((await askedWhere(new Error('the store is busy'))).asked).toEqual([]);
  });

  test('and that could not be dropped again is told of, with the statement that does', async () => {
    const { ended } = await askedWhere(parted, { drop: () => Promise.reject(new Error('gone')) });
    expect(ended).toMatchObject({
      code: 'HISTORY_PARTED',
      mend: parted.mend,
      hint: "on that server: SELECT pg_drop_replication_slot('it''s'); then decide",
    });
  });
});

// Before the first byte of the stream: whether the log may go on, and what a database needs, asked of a pretended server.
import { describe, expect, onTestFinished, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { planStart, prepareDatabase, readHistory, type LogEnd } from '../../../src/pipeline/source/start.ts';
import {
  closeConnection,
  connectReplication,
  findPrimary,
  type Primary,
} from '../../../src/postgres/connection/connection.ts';
import { databaseSettings } from '../../support/database-settings.ts';
import { fakeDatabase, startFakePostgres, type FakePostgres } from '../../support/fake-postgres.ts';

const lsn = (value: number) => toLsn(BigInt(value));

const log = (changes: Partial<LogEnd> = {}): LogEnd => ({
  created: false,
  damaged: false,
  lastEndLsn: lsn(1000),
  flushed: lsn(900),
  settled: lsn(900),
  epoch: 3,
  timeline: 1,
  ...changes,
});
type Server = Parameters<typeof planStart>[1];
const server: Server = { current: 1, switches: [], walEnd: lsn(5000) };
const promoted: Server = { current: 2, switches: [{ timeline: 1, switchLsn: lsn(2000) }], walEnd: lsn(5000) };
const slot = (confirmedFlush: number, created = false) => ({ confirmedFlush: lsn(confirmedFlush), created });

describe('a connection starts', () => {
  test('where the slot stands when the log is new', () => {
    expect(planStart(log({ created: true, lastEndLsn: lsn(0) }), server, slot(700, true))).toEqual({
      startLsn: lsn(0),
      confirmed: lsn(700),
      epoch: 3,
      gap: undefined,
    });
  });

  test('at the end of the last logged transaction, not where the slot stands', () => {
    expect(planStart(log(), server, slot(900))).toMatchObject({ startLsn: lsn(1000), gap: undefined });
  });

  test('where it was flushed beyond the log: keepalives of an idle database', () => {
    expect(planStart(log({ flushed: lsn(1500) }), server, slot(1500))).toMatchObject({
      startLsn: lsn(1500),
      confirmed: lsn(1500),
      gap: undefined,
    });
  });

  test('without a gap when the server crashed and its slot fell back', () => {
    expect(planStart(log({ flushed: lsn(1500) }), server, slot(100))).toMatchObject({
      confirmed: lsn(1500),
      gap: undefined,
      epoch: 3,
    });
  });

  test('with a gap and a new epoch when the slot is ahead of everything we know', () => {
    expect(planStart(log(), server, slot(1001))).toMatchObject({
      gap: { from: lsn(1000), to: lsn(1001) },
      epoch: 4,
    });
  });

  test('with a gap when the slot had to be made anew', () => {
    expect(planStart(log(), server, slot(3000, true)).gap).toMatchObject({ from: lsn(1000), to: lsn(3000) });
  });

  test('with a gap when durable bytes are gone and the slot is beyond them, though they were flushed', () => {
    const damaged = log({ damaged: true, flushed: lsn(2000) });
    expect(planStart(damaged, server, slot(1000)).gap).toBeUndefined();
    expect(planStart(damaged, server, slot(1001)).gap).toMatchObject({ from: lsn(1000), to: lsn(1001) });
  });

  test('without a gap when durable bytes are gone that every sink had settled', () => {
    const damaged = log({ damaged: true, flushed: lsn(2000), settled: lsn(1500) });
    expect(planStart(damaged, server, slot(1500))).toMatchObject({ startLsn: lsn(1500), gap: undefined });
    expect(planStart(damaged, server, slot(1501)).gap).toMatchObject({ from: lsn(1500), to: lsn(1501) });
  });

  test('in a new epoch after a promotion, at the log and not at what only the old timeline had', () => {
    expect(planStart(log({ flushed: lsn(1900) }), promoted, slot(800))).toEqual({
      startLsn: lsn(1000),
      confirmed: lsn(800),
      epoch: 4,
      gap: undefined,
    });
  });

  test('not at all on a server that does not have what the log holds', () => {
    expect(() => planStart(log({ lastEndLsn: lsn(2001) }), promoted, slot(800))).toThrow(/part at 0\/7D0/);
    expect(() => planStart(log(), { ...server, walEnd: lsn(999) }, slot(800))).toThrow(/WAL ends at 0\/3E7/);
    expect(() => planStart(log({ timeline: 2 }), server, slot(800))).toThrow(/not the one in the change log/);
  });

  test('a refusal is for good until somebody looks: it halts', () => {
    expect(() => planStart(log({ timeline: 2 }), server, slot(800))).toThrow(
      expect.objectContaining({ code: 'HISTORY_PARTED', kind: 'fatal' }),
    );
  });

  test('on whatever timeline answers, when the log has not seen one yet', () => {
    expect(planStart(log({ timeline: 0 }), promoted, slot(800))).toMatchObject({ epoch: 3, gap: undefined });
  });

  test('with the reason why changes are missing', () => {
    const reasonOf = (end: Partial<LogEnd>, created = false) =>
      planStart(log(end), server, slot(9000, created)).gap?.reason;
    expect(reasonOf({})).toContain('advanced or made anew by somebody else');
    expect(reasonOf({}, true)).toContain('was gone and had to be made anew');
    expect(reasonOf({ damaged: true })).toContain('lost bytes');
  });

  test('telling Postgres what it was told, and nothing that counts no more', () => {
    const confirmedOf = (end: Partial<LogEnd>, history = server) =>
      planStart(log({ flushed: lsn(1500), ...end }), history, slot(800)).confirmed;
    expect(confirmedOf({})).toBe(lsn(1500));
    expect(confirmedOf({ damaged: true })).toBe(lsn(800));
    expect(confirmedOf({}, promoted)).toBe(lsn(800));
  });
});

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
  ) {
    const { postgres, client, target } = await connected(changes);
    const waits: (readonly number[])[] = [];
    const prepared = prepareDatabase(
      client,
      target,
      databaseSettings(fakeDatabase(postgres), settings),
      [{}],
      (pids) => waits.push(pids),
    );
    return { postgres, prepared, waits };
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

  test('without logical messages where the server sends none', async () => {
    const { prepared } = await prepare({ serverVersion: 130_000 });
    expect((await prepared).streamOptions['messages']).toBe('false');
  });

  test('with warnings for status, which keep nobody from streaming', async () => {
    const { prepared } = await prepare({ slot: { confirmedFlush: 100n, walStatus: 'unreserved' } });
    expect((await prepared).notices).toEqual([expect.stringContaining('max_slot_wal_keep_size')]);
  });
});

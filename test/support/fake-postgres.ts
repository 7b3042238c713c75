// A pretended primary for tests of the source: it answers what the source asks of a server, and streams what a test says.
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { formatLsn, toLsn } from '../../src/core/lsn.ts';
import { FakeBackend, Walsender, type WireAnswer, type WireRow } from './fake-backend.ts';
import { waitFor } from './wait.ts';

/** What the server says of itself; a test changes it as it goes. */
export type FakeServer = {
  serverVersion: number;
  systemIdentifier: string;
  databaseOid: number;
  timeline: number;
  /** Content of the timeline history file. */
  timelineHistory: string;
  walEnd: bigint;
  /** Of the database; undefined: UTF8. */
  encoding?: string;
  /** Undefined: there is no slot (of whatever name is asked for). */
  slot:
    | {
        confirmedFlush: bigint;
        walStatus?: string;
        safeWalBytes?: number;
        activePid?: number;
        beingMade?: true;
      }
    | undefined;
  /** In schema `public`, each with a primary key `id` of type int. */
  tables: readonly string[];
  /** Undefined: there is no publication. */
  publication: readonly string[] | undefined;
  /** When its postmaster started (µs since 1970): after a restart it is another. */
  startedAtUs: string;
  /** The next transaction id, and what has become of those before. */
  nextXid: bigint;
  transactionState: string | null;
  synchronousStandbyNames: string;
  /** What `pg_stat_replication` says of our walsender. */
  synchronousState: string;
  /** SQL that gets another answer than usual: asked first. */
  override: (sql: string) => WireAnswer | undefined;
};

export type FakePostgres = {
  readonly port: number;
  readonly server: FakeServer;
  /** Every statement, in order. */
  readonly asked: string[];
  readonly streams: readonly Walsender[];
  /** The stream of the connection number `count` (the first is 1), once it runs. */
  stream(count?: number): Promise<Walsender>;
  /** Ends the ordinary connections. */
  terminateOrdinary(): void;
  /** The ordinary connections get no answer until `release`. */
  holdOrdinary(): { release(): void };
};

const DATABASE = 'app';
const SLOT_DEFAULTS = {
  slot_type: 'logical',
  plugin: 'pgoutput',
  database: DATABASE,
  active_pid: null,
  temporary: false,
};

/** Goes with the test. */
export async function startFakePostgres(changes: Partial<FakeServer> = {}): Promise<FakePostgres> {
  const server: FakeServer = {
    serverVersion: 180_000,
    systemIdentifier: '7000000000000000001',
    databaseOid: 5,
    timeline: 1,
    timelineHistory: '',
    walEnd: 1000n,
    slot: { confirmedFlush: 100n },
    tables: ['items'],
    publication: ['items'],
    startedAtUs: '1700000000000000',
    nextXid: 1000n,
    transactionState: 'committed',
    synchronousStandbyNames: '',
    synchronousState: 'async',
    override: () => undefined,
    ...changes,
  };
  const asked: string[] = [];
  const streams: Walsender[] = [];
  const sockets = new Set<Socket>();
  const backends: FakeBackend[] = [];
  const answer = (sql: string, _parameters: readonly (string | null)[], pid: number): WireAnswer => {
    asked.push(sql);
    return server.override(sql) ?? answerOf(sql, server, pid);
  };
  const listener = createServer((socket) => {
    sockets.add(socket);
    backends.push(
      new FakeBackend(socket, 1000 + backends.length, {
        answer,
        onStream: (stream) => void streams.push(stream),
      }),
    );
  });
  await new Promise<void>((done) => listener.listen(0, '127.0.0.1', done));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((done) => listener.close(() => done()));
  });
  const ordinary = (): FakeBackend[] => backends.filter((backend) => !backend.isWalsender);
  return {
    port: (listener.address() as AddressInfo).port,
    server,
    asked,
    streams,
    stream: (count = 1) => waitFor(() => streams[count - 1], `stream number ${count}`),
    terminateOrdinary: () => {
      for (const backend of ordinary()) backend.terminate();
    },
    holdOrdinary: () => {
      const held = ordinary();
      for (const backend of held) backend.hold();
      return { release: () => held.forEach((backend) => backend.release()) };
    },
  };
}

/** The settings that reach it: see `databaseSettings`. */
export const fakeDatabase = ({ port }: FakePostgres) => ({ name: DATABASE, host: '127.0.0.1', port });

const lsnText = (lsn: bigint): string => formatLsn(toLsn(lsn));

export const INT4 = 23;

const identity = ({ systemIdentifier, timeline, walEnd }: FakeServer): readonly WireRow[] => [
  { systemid: systemIdentifier, timeline: String(timeline), xlogpos: lsnText(walEnd), dbname: DATABASE },
];

const serverRow = ({ serverVersion, databaseOid, encoding = 'UTF8' }: FakeServer): readonly WireRow[] => [
  {
    serverVersion,
    inRecovery: false,
    versionText: '18.0',
    databaseOid,
    walLevel: 'logical',
    encoding,
    senderTimeoutMs: 60_000,
    mayReplicate: true,
    mayCreate: true,
    freeSlots: 1,
  },
];

const slotRows = ({ slot }: FakeServer): readonly WireRow[] =>
  slot === undefined
    ? []
    : [
        {
          slot: {
            ...SLOT_DEFAULTS,
            slot_name: 'slot',
            wal_status: slot.walStatus ?? 'reserved',
            active_pid: slot.activePid ?? null,
            confirmed_flush_lsn: slot.beingMade === true ? null : lsnText(slot.confirmedFlush),
            safe_wal_size: slot.safeWalBytes ?? null,
          },
        },
      ];

function makeSlot(server: FakeServer): readonly WireRow[] {
  server.slot = { confirmedFlush: server.walEnd };
  return [{ lsn: lsnText(server.walEnd) }];
}

const publicationRows = ({ publication }: FakeServer): readonly WireRow[] =>
  publication === undefined
    ? []
    : [
        {
          pubinsert: true,
          pubupdate: true,
          pubdelete: true,
          pubtruncate: true,
          viaRoot: true,
          allTables: false,
          sendsStored: false,
          kept: false,
          changeable: true,
          serverVersion: 180_000,
          entries: publication.map((table) => ({ schema: 'public', table, hasColumns: false })),
        },
      ];

const carriedRows = ({ publication = [] }: FakeServer): readonly WireRow[] =>
  publication.map((table) => ({ schema: 'public', table }));

/** What a look sees; the versions of the publication and its members are those of their names. */
const lookRows = ({ publication, walEnd, nextXid, startedAtUs }: FakeServer): readonly WireRow[] => [
  {
    snapshot: `${nextXid}:${nextXid}:`,
    walAfter: lsnText(walEnd),
    startedAtUs,
    address: '127.0.0.1:5432',
    fold: publication?.join(',') ?? 'none',
    publication:
      publication === undefined
        ? null
        : {
            oid: 20_000,
            version: '20000:700',
            insert: true,
            update: true,
            delete: true,
            truncate: true,
          },
    tables: (publication ?? []).map((table, i) => ({
      oid: 16_400 + i,
      schema: 'public',
      table,
      member: `${21_000 + i}:700`,
      entry: '0',
      shape: '0',
    })),
  },
];

const tableRows = ({ tables }: FakeServer): readonly WireRow[] =>
  tables.map((table) => ({
    schema: 'public',
    table,
    partitioned: false,
    ancestors: [],
    leaves: [{ schema: 'public', table }],
    faults: [],
    unsentKeys: [],
    laterFit: true,
    deferrable: false,
    foreign: false,
    owner: 'postgres',
    owned: true,
    schemaUsable: true,
    ownerMayPublish: true,
    grantOwnerSql: null,
  }));

/** Each statement is known by what it reads from. */
const ANSWERS: readonly (readonly [
  sql: RegExp,
  rows: (server: FakeServer, pid: number) => readonly WireRow[],
])[] = [
  [/set_config|^SET /, () => []],
  [/with recursive wanted as/, tableRows],
  [
    /with recursive above/,
    ({ tables }) => tables.map((table) => ({ schema: 'public', table, ancestors: [] })),
  ],
  [
    /with recursive carrier as/,
    () => [{ oid: 16_400, partitioned: false, published: true, altered: 0, links: [] }],
  ],
  [/as "keyPlace"/, () => [{ name: 'id', type: INT4, keyPlace: 1, sentAlong: false }]],
  [
    /as "isDeterministic"/,
    () => [
      {
        column: null,
        type: 0,
        name: 'default',
        provider: 'c',
        collate: 'C',
        ctype: 'C',
        isDeterministic: true,
      },
    ],
  ],
  [/from pg_publication p where pubname/, publicationRows],
  [/listed \(oid\) as/, carriedRows],
  [/with recursive pub as/, lookRows],
  [/pg_last_wal_replay_lsn/, ({ walEnd }) => [{ lsn: lsnText(walEnd) }]],
  [/from pg_locks w/, () => []],
  [/from pg_locks/, () => [{ xids: [] }]],
  [/pg_xact_status/, ({ transactionState }) => [{ state: transactionState }]],
  [/as standby/, () => [{ standby: false }]],
  [/pg_control_system/, ({ systemIdentifier }) => [{ system: systemIdentifier }]],
  [/^IDENTIFY_SYSTEM/, identity],
  [/^TIMELINE_HISTORY/, ({ timelineHistory }) => [{ filename: 'history', content: timelineHistory }]],
  [/pg_backend_pid\(\) as pid/, (_, pid) => [{ pid: String(pid) }]],
  [/server_version_num/, serverRow],
  [/iam_auth_for_replication/, () => [{ setting: null, isMember: false }]],
  [/from pg_replication_slots/, slotRows],
  [/pg_create_logical_replication_slot/, makeSlot],
  // Whoever it is asked of is there, and waits for WAL.
  [/from pg_stat_activity where pid/, () => [{ waitsFor: 'wal' }]],
  [/as "keepMegabytes"/, () => [{ keepMegabytes: -1, idleSeconds: null }]],
  [/pg_stat_replication_slots'/, () => [{ there: false }]],
  [/as allowed\s+from pg_proc/, () => [{ allowed: false }]],
  [/application_name as name/, () => []],
  [/sync_state/, ({ synchronousState }) => [{ sync_state: synchronousState }]],
  [/synchronous_standby_names/, ({ synchronousStandbyNames }) => [{ names: synchronousStandbyNames }]],
  [/pg_current_wal_insert_lsn/, ({ walEnd }) => [{ lsn: lsnText(walEnd) }]],
  [/^START_REPLICATION/, () => []],
];

function answerOf(sql: string, server: FakeServer, pid: number): WireAnswer {
  const known = ANSWERS.find(([pattern]) => pattern.test(sql));
  // A statement that nobody taught it: the test says so, instead of going on with an answer that no server gives.
  if (known === undefined) return { sqlState: 'XX000', message: `the fake server does not know: ${sql}` };
  return known[1](server, pid);
}

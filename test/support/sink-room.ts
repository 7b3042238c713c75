// What a sink runs on, without Postgres and threads: a real log of rows `(id, v)` of the table `public.t`, a real store, its options.
import { join } from 'node:path';
import type { LogSignals } from '../../src/log/signals.ts';
import type { LogWriter } from '../../src/log/writer.ts';
import { encodeEnrichment } from '../../src/pgoutput/enrichment.ts';
import type { SinkSettings } from '../../src/pipeline/settings.ts';
import type { SinkOptions } from '../../src/pipeline/sink/options.ts';
import type { Message } from '../../src/core/message.ts';
import type { Sink } from '../../src/sinks/sink.ts';
import { openStore } from '../../src/store/sqlite.ts';
import {
  append,
  begin,
  commit,
  frames,
  openTestLog,
  scratchDirectory,
  SETTINGS as LOG_SETTINGS,
} from '../log/stream.ts';
import { Endpoint, routeTo, type EndpointOptions } from './dispatcher.ts';
import { FOLLOWED } from './ledger.ts';
import { SINK } from './letters.ts';
import { bodyOf, silent } from './messages.ts';
import { insertMessage, relationMessage } from './pgoutput-messages.ts';
import { PLAIN_SINK } from './sink-settings.ts';

export const TABLE = 1;
const INT4 = 23;
const TEXT = 25;

/** The table's Relation message, and what the catalog adds. */
const relationMessages = (): Buffer[] => [
  relationMessage({
    id: TABLE,
    schema: 'public',
    table: 't',
    identity: 'd',
    columns: [
      { name: 'id', type: INT4, identity: true },
      { name: 'v', type: TEXT },
    ],
  }),
  encodeEnrichment({ relationId: TABLE, key: ['id'], types: new Map() }),
];

const SINK_SETTINGS: SinkSettings = {
  name: SINK.sink,
  database: SINK.database,
  ...PLAIN_SINK,
  retry: { initialBackoffMs: 1, multiplier: 1, maxBackoffMs: 1, jitter: 0 },
  maxParked: 1000,
  destination: { type: 'none', config: {} },
};

export type SinkRoom = {
  readonly options: SinkOptions;
  readonly log: LogWriter;
  readonly signals: LogSignals;
  /** Appends a transaction that inserts rows with these ids; `commit` is its commit LSN. */
  insert(commit: number, ids: readonly number[]): void;
  /** Appends a transaction of these row messages. */
  append(commit: number, rows: readonly Buffer[]): void;
};

export async function openSinkRoom(
  settings: Partial<SinkSettings> = {},
  { segmentBytes = LOG_SETTINGS.segmentBytes } = {},
): Promise<SinkRoom> {
  const directory = scratchDirectory();
  const logDirectory = join(directory, 'log');
  const { log, signals } = await openTestLog(logDirectory, {
    prologue: () => frames(...relationMessages()),
    settings: { ...LOG_SETTINGS, segmentBytes },
  });
  signals.setHolding(0, true);
  let isDescribed = false;
  const appendRows = (commitLsn: number, rows: readonly Buffer[]): void => {
    const transaction = { commitLsn: BigInt(commitLsn), rows: rows.length };
    // As a connection does: the relation comes before its first row.
    const described = isDescribed ? [] : relationMessages();
    isDescribed = true;
    append(log, [begin(transaction), ...described, ...rows, commit(transaction)]);
  };
  const options: SinkOptions = {
    settings: { ...SINK_SETTINGS, ...settings },
    logDirectory,
    log: { ...FOLLOWED, ...log.birth },
    signals,
    slot: 0,
    ledgerFile: join(directory, 'users.ledger'),
    newSinkStart: 'earliest',
    onGap: 'halt',
    store: openStore(':memory:'),
    logger: silent,
    envelope: {
      sinkName: SINK.sink,
      sinkId: 'id-of-users',
      sinkAnnotations: {},
      databaseName: SINK.database,
      databaseId: 'id-of-shop',
      databaseAnnotations: {},
      postgresDatabase: 'shop',
      hostname: 'db',
    },
    streamKey: 'key',
    heedsSkips: false,
  };
  return {
    options,
    log,
    signals,
    append: appendRows,
    insert: (commitLsn, ids) =>
      appendRows(
        commitLsn,
        ids.map((id) => insertMessage(TABLE, [String(id), `v${id}`])),
      ),
  };
}

/** A sink in front of an endpoint that a test programs; `idOf` reads a row's id out of its message. */
export class TestSink implements Sink {
  readonly endpoint: Endpoint;
  readonly deliver: Sink['deliver'];
  readonly sizeOf: Sink['sizeOf'];
  isClosed = false;

  constructor(options: EndpointOptions = {}) {
    this.endpoint = new Endpoint(options);
    this.deliver = this.endpoint.deliver;
    this.sizeOf = this.endpoint.sizeOf;
  }

  /** Of the rows that were accepted, in that order. */
  accepted(): number[] {
    return this.endpoint.accepted.map(({ body }) => idIn(body));
  }

  routeOf(): ReturnType<Sink['routeOf']> {
    return routeTo('q', { messageBytes: 10_000, batchBytes: 100_000 });
  }
  check(): Promise<void> {
    return Promise.resolve();
  }
  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

const idIn = (body: string): number => (JSON.parse(body) as { record: { id: number } }).record.id;

export const rowIdOf = (message: Message): number => idIn(bodyOf(message));

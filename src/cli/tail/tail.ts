// `tailrace tail`: prints changes as JSON lines from a temporary slot, and leaves nothing behind.
import { randomBytes } from 'node:crypto';
import { readFileFromDisk } from '../../config/file/disk-files.ts';
import { escapeIdentifier, type Client } from 'pg';
import { wallTime } from '../../core/clock.ts';
import { describeError, TailraceError } from '../../core/errors.ts';
import { streamKey } from '../../core/idempotency.ts';
import { ZERO_LSN, type Lsn } from '../../core/lsn.ts';
import { parseTableName, tablePattern, type TableName } from '../../core/selection.ts';
import type { FormatName } from '../../formats/names.ts';
import { enrichWithLineage } from '../../postgres/catalog.ts';
import { takeLook } from '../../postgres/look.ts';
import {
  connectReplication,
  inPlainSession,
  type ReplicationConnection,
} from '../../postgres/connection/connection.ts';
import { findPrimary, type Primary } from '../../postgres/connection/hosts.ts';
import { transcoderOf, type Transcoder } from '../../postgres/encoding/transcoder.ts';
import { identifySystem } from '../../postgres/preflight/preflight.ts';
import { slotWait, watchMaking, type SlotBlocker } from '../../postgres/preflight/slot-making.ts';
import { RANGE, startReplication, type ReplicationStream } from '../../postgres/replication/stream.ts';
import type { DatabaseSettings } from '../../postgres/settings.ts';
import { ShapeProofs } from '../../postgres/shapes/proofs.ts';
import { remembersShapes } from '../../postgres/shapes/remembering.ts';
import { abortWhenUnwanted, EXIT, usageError, writeLine, type CliPorts } from '../ports.ts';
import { createPrinter, type Printer } from './printer.ts';
import { assertPublication, createTailPublication, keepWritesGoing } from './publication.ts';
import { parseTarget } from './target.ts';

export type TailOptions = {
  readonly table?: readonly string[];
  readonly publication?: string;
  readonly format: FormatName;
};

/** A larger row is named on standard error and not printed. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

export async function tail(url: string, options: TailOptions, ports: CliPorts): Promise<number> {
  const settings = await parseTarget(url, {
    env: ports.env,
    cwd: ports.cwd,
    readFile: (path) => readFileFromDisk(path),
    note: (text) => writeLine(ports.stderr, text),
  });
  const tables = (options.table ?? []).map(parseTable);
  using interruption = abortWhenUnwanted(ports);
  const { signal } = interruption;
  const primary = await findPrimary(settings);
  try {
    if (options.publication !== undefined) {
      const { database } = settings;
      await assertPublication(primary.client, options.publication, { database, tables });
      await stream({ settings, primary, tables, publication: options.publication, options, ports, signal });
      return EXIT.ok;
    }
    const publication = await createTailPublication(primary.client, tables, (work) =>
      inPlainSession(settings, primary.target, work),
    );
    const watching = new AbortController();
    try {
      for (const { reason } of publication.left) writeLine(ports.stderr, `left out: ${reason}`);
      const { name } = publication;
      const say = (text: string): void => {
        writeLine(ports.stderr, text);
      };
      keepWritesGoing(primary.client, name, watching.signal, say).catch((error: unknown) => {
        // Without a server nothing is written to it either.
        if (!watching.signal.aborted) say(`the tables are not looked at any more: ${String(error)}`);
      });
      await stream({ settings, primary, tables, publication: name, options, ports, signal });
    } finally {
      watching.abort();
      // Without a server there is nothing to drop it on: the next tail removes it.
      await publication.drop().catch((error: unknown) => {
        writeLine(ports.stderr, `publication ${publication.name} is still there: ${String(error)}`);
      });
    }
    return EXIT.ok;
  } finally {
    await primary.client.end().catch(() => undefined);
  }
}

function parseTable(text: string): TableName {
  const name = parseTableName(text);
  if (name !== undefined) return name;
  throw usageError(
    `--table ${text}: not the name of a table`,
    'write schema.table; quote odd names as SQL does: \'"Odd Schema"."Table"\'',
  );
}

type Streaming = {
  readonly settings: DatabaseSettings;
  readonly primary: Primary;
  readonly tables: readonly TableName[];
  readonly publication: string;
  readonly options: TailOptions;
  readonly ports: CliPorts;
  readonly signal: AbortSignal;
};

/** Until `signal` aborts; rejects when the server ends the stream. */
async function stream(streaming: Streaming): Promise<void> {
  const { settings, primary, publication, ports, signal } = streaming;
  // A temporary slot goes with its connection: there is no second run for what the server cannot convert.
  const connection = await connectReplication(settings, primary.target, true);
  const slot = `tailrace_tail_${randomBytes(6).toString('hex')}`;
  try {
    const identity = await identifySystem(connection);
    // Before the slot: whatever it gives was written after this look.
    const proofs = await openTailProofs(streaming, identity);
    const printer = await createTailPrinter(streaming, identity, proofs);
    try {
      await makeTemporarySlot(streaming, connection, slot);
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    const replication = await startReplication(connection, {
      slot,
      publication,
      startLsn: ZERO_LSN,
      confirmed: ZERO_LSN,
      messages: false,
      statusIntervalMs: settings.statusIntervalMs,
      receiveTimeoutMs: settings.receiveTimeoutMs,
      senderTimeoutMs: await senderTimeoutMs(primary.client),
      maxMessageBytes: MAX_MESSAGE_BYTES,
    });
    const interrupt = (): void => replication.interrupt();
    signal.addEventListener('abort', interrupt);
    if (signal.aborted) interrupt();
    try {
      writeLine(ports.stderr, `streaming ${publication} of ${settings.database}; Ctrl-C ends`);
      const transcoder = await transcoderFor(primary.client);
      await copy(replication, { printer, proofs, transcoder }, ports);
      if (!signal.aborted) {
        throw new TailraceError('the server ended the stream', { code: 'STREAM_ENDED', kind: 'fatal' });
      }
    } finally {
      signal.removeEventListener('abort', interrupt);
      await replication.stop();
    }
  } finally {
    // The temporary slot goes with its connection.
    void connection.client.end().catch(() => undefined);
  }
}

type Copying = {
  readonly printer: Printer;
  readonly proofs: ShapeProofs;
  readonly transcoder: Transcoder | undefined;
};

async function copy(
  replication: ReplicationStream,
  { printer, proofs, transcoder }: Copying,
  ports: CliPorts,
): Promise<void> {
  for (let came = await replication.read(); came !== undefined; came = await replication.read()) {
    proofs.received();
    const batch = transcoder === undefined ? came : await transcoder.inUtf8(came);
    let printed: Lsn | undefined;
    for (let i = 0; i < batch.count; i++) {
      const kind = batch.kinds[i];
      if (kind === RANGE.whole) {
        const endLsn = await printer.take(batch.bytes, batch.starts[i]!, batch.ends[i]!);
        printed = endLsn ?? printed;
      } else if (kind === RANGE.first) {
        writeLine(ports.stderr, `a row of ${batch.oversizeBytes} bytes is not printed`);
        printer.skip(batch.bytes, batch.starts[i]!);
      }
    }
    if (printed !== undefined) replication.confirm(printed);
    // Invariant 5: a keepalive's WAL end says nothing while a transaction is half read.
    else if (batch.count === 0 && !printer.inTransaction) replication.confirm(replication.walEnd);
  }
}

async function transcoderFor(client: Client): Promise<Transcoder | undefined> {
  const { rows } = await client.query<{ encoding: string }>(
    `select current_setting('server_encoding') as encoding`,
  );
  return transcoderOf({ client, encoding: rows[0]?.encoding ?? 'UTF8', ownEncoding: true });
}

type Identity = Awaited<ReturnType<typeof identifySystem>>;

async function createTailPrinter(
  { settings, primary, tables, publication, options, ports }: Streaming,
  { systemIdentifier, timeline }: Identity,
  proofs: ShapeProofs,
): Promise<Printer> {
  const context = { publication, serverVersion: await serverVersion(primary.client) };
  return createPrinter({
    format: options.format,
    database: settings.database,
    hostname: primary.target.host,
    timeline,
    streamKey: streamKey({ databaseName: settings.name, systemIdentifier }),
    selection: tables.length === 0 ? {} : { includeTables: tables.map(tablePattern) },
    enrich: (relation) => enrichWithLineage(primary.client, relation, context),
    proofs,
    print: (line) => writeLine(ports.stdout, line),
    say: (text) => {
      writeLine(ports.stderr, text);
    },
  });
}

/** What is printed rests on one look from before the slot, and on those that rows ask for. */
async function openTailProofs(
  { primary: { client }, publication, ports }: Streaming,
  { systemIdentifier, timeline }: Identity,
): Promise<ShapeProofs> {
  const version = await serverVersion(client);
  const look = await takeLook(client, {
    publication,
    serverVersion: version,
    server: { systemIdentifier, timeline, switches: [] },
    previous: undefined,
    at: wallTime(),
  });
  return new ShapeProofs({
    client,
    seenSince: (type, version) => (look.catalog.types?.[type] === version ? look.walAfter : undefined),
    changed: () => Promise.resolve(),
    // A temporary slot goes with its connection: what comes stays text.
    remembered: remembersShapes(version) ? () => undefined : undefined,
    becameText: ({ schema, table }, types) =>
      writeLine(
        ports.stderr,
        `${schema}.${table}: values of ${types.join(', ')} are Postgres' text where the type changed meanwhile`,
      ),
  });
}

/** Waits for every transaction that runs now, so somebody may want to leave before it is there. */
async function makeTemporarySlot(
  { primary, ports, signal }: Streaming,
  { client }: ReplicationConnection,
  slot: string,
): Promise<void> {
  const watching = {
    client: primary.client,
    serverVersion: await serverVersion(primary.client),
    onWait: (blocker: SlotBlocker | undefined) =>
      writeLine(ports.stderr, describeError(slotWait(slot, blocker))),
    signal,
  };
  try {
    await watchMaking(client, watching, () =>
      client.query(`CREATE_REPLICATION_SLOT ${escapeIdentifier(slot)} TEMPORARY LOGICAL pgoutput`),
    );
  } catch (cause) {
    throw new TailraceError(
      `cannot make a temporary slot: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        code: 'SLOT_NOT_CREATED',
        kind: 'fatal',
        hint: 'the server needs wal_level = logical, a free slot (max_replication_slots) and a role with REPLICATION',
        cause,
      },
    );
  }
}

async function serverVersion(client: Client): Promise<number> {
  const { rows } = await client.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  );
  return rows[0]?.version ?? 0;
}

async function senderTimeoutMs(client: Client): Promise<number> {
  const { rows } = await client.query<{ ms: number }>(
    `select setting::int as ms from pg_settings where name = 'wal_sender_timeout'`,
  );
  return rows[0]?.ms ?? 0;
}

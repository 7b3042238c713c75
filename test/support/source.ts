// A source in this process, on a directory of its own, and its log read back as rows.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import {
  createRowEvent,
  isDamaged,
  NULL_VALUE,
  UNCHANGED_TOAST,
  type Relation,
  type Tuple,
} from '../../src/core/change.ts';
import { FRAME, FRAME_HEADER_BYTES } from '../../src/pgoutput/frames.ts';
import { openLogReader, type ReadFrom } from '../../src/log/reader.ts';
import { LogSignals } from '../../src/log/signals.ts';
import type { SourceOptions } from '../../src/pipeline/source/options.ts';
import { startSource, type Source } from '../../src/pipeline/source/runner.ts';
import { buildRelation, decodeEnrichment } from '../../src/pgoutput/enrichment.ts';
import {
  decodeBegin,
  decodeCommit,
  decodeRelation,
  decodeRow,
  decodeTruncate,
  type RawRelation,
} from '../../src/pgoutput/messages.ts';
import { decodeReads, readRelationId, readsLsn } from '../../src/pgoutput/reads.ts';
import { openStore, type Store } from '../../src/store/sqlite.ts';
import type { DatabaseSettings } from '../../src/postgres/settings.ts';

const MIB = 1024 * 1024;

export type LoggedRow = {
  readonly action: string;
  readonly table: string;
  /** Of the relation in force there. */
  readonly columns: number;
  /** That relation. */
  readonly relation: Relation;
  readonly values: readonly (string | null)[];
  /** Of an update or delete, where the stream brought it: of what is not known of it, NULL. */
  readonly old?: readonly (string | null)[];
  /** Names of columns whose text the database could not read. */
  readonly damaged?: readonly string[];
  readonly commitLsn: bigint;
  readonly index: number;
};

export type Logged = {
  readonly rows: LoggedRow[];
  /** Type letters of all frames, in order. */
  types: string;
  readonly relations: Relation[];
  readonly commits: { readonly commitLsn: bigint; readonly endLsn: bigint }[];
  /** Headers of rows that backfills have read. */
  readonly reads: ReturnType<typeof decodeReads>[];
  readonly epochs: Set<number>;
  readonly timelines: Set<number>;
  /** Bytes of `p` frames. */
  pieceBytes: number;
};

export type TestSource = Source & {
  readonly signals: LogSignals;
  readonly lines: { readonly level: number; readonly msg: string }[];
  readonly store: Store;
  /** Everything that is in the log now. */
  read(): Promise<Logged>;
};

export type SourceDirectory = { readonly path: string; remove(): void };

export function createSourceDirectory(): SourceDirectory {
  const path = mkdtempSync(join(tmpdir(), 'tailrace-source-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function startTestSource(
  settings: DatabaseSettings,
  directory: SourceDirectory,
  changes: Partial<Omit<SourceOptions, 'log'>> & { log?: Partial<SourceOptions['log']> } = {},
): TestSource {
  const lines: TestSource['lines'] = [];
  const signals = changes.signals ?? new LogSignals();
  const log = join(directory.path, 'log');
  const { log: logChanges, ...others } = changes;
  const store = openStore(join(directory.path, 'store.db'));
  const source = startSource({
    settings,
    selections: [{}],
    sinkSlots: new Map(),
    streamed: () => undefined,
    store,
    directory: log,
    knownEpoch: -1,
    signals,
    version: '0.0.0-test',
    life: { instance: 'test', life: 1, nonce: 'a' },
    durableDirectory: true,
    logger: pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line) as never) }),
    ...others,
    log: {
      segmentBytes: 64 * MIB,
      retentionMs: 3_600_000,
      maxBytes: 1024 * MIB,
      minFreeBytes: 0,
      maxMessageBytes: 64 * MIB,
      ...logChanges,
    },
  });
  source.ended.then(
    () => store.close(),
    () => store.close(),
  );
  return { ...source, signals, lines, store, read: () => readLog(log, signals) };
}

/** Reads the log to its present end, by default from its first retained byte. */
export async function readLog(
  directory: string,
  signals: LogSignals,
  from: ReadFrom = 'earliest',
): Promise<Logged> {
  const logged: Logged = {
    rows: [],
    types: '',
    relations: [],
    commits: [],
    reads: [],
    epochs: new Set(),
    timelines: new Set(),
    pieceBytes: 0,
  };
  const relations = new Map<number, Relation>();
  const event = createRowEvent();
  const end = signals.writtenEnd();
  const done = new AbortController();
  const reader = openLogReader(directory, signals);
  let raw: RawRelation | undefined;
  try {
    for await (const block of reader.read(from, done.signal)) {
      let { commitLsn, index } = block.context;
      if (!block.relationsOnly && !block.prologue) {
        logged.epochs.add(block.context.epoch);
        logged.timelines.add(block.context.timeline);
      }
      for (let at = block.start; at < block.end;) {
        const start = at + FRAME_HEADER_BYTES;
        const next = start + block.buffer.readUInt32BE(at);
        at = next;
        const type = block.buffer[start];
        if (!block.relationsOnly) logged.types += String.fromCharCode(type!);
        switch (type!) {
          case FRAME.begin:
            commitLsn = decodeBegin(block.buffer, start, next).commitLsn;
            index = 0;
            break;
          case FRAME.commit:
            logged.commits.push(decodeCommit(block.buffer, start, next));
            break;
          case FRAME.relation:
            raw = decodeRelation(block.buffer, start, next);
            break;
          case FRAME.enrichment: {
            const relation = buildRelation(raw!, decodeEnrichment(block.buffer, start, next));
            relations.set(relation.id, relation);
            logged.relations.push(relation);
            break;
          }
          case FRAME.truncate:
            for (const id of decodeTruncate(block.buffer, start, next).relationIds) {
              logged.rows.push({
                action: 'truncate',
                ...shapeOf(relations.get(id)!),
                values: [],
                commitLsn,
                index: index++,
              });
            }
            break;
          case FRAME.oversize: {
            const id = block.buffer.readUInt32BE(start + 2);
            const isRead = block.buffer[start + 1] === FRAME.read;
            logged.rows.push({
              action: 'oversize',
              ...shapeOf(relations.get(isRead ? readRelationId(id) : id)!),
              values: [String(block.buffer.readBigUInt64BE(start + 6))],
              commitLsn,
              index: index++,
            });
            break;
          }
          case FRAME.piece:
            logged.pieceBytes += next - start - 1;
            break;
          case FRAME.reads: {
            const reads = decodeReads(block.buffer, start, next);
            relations.set(reads.relation.id, reads.relation);
            logged.reads.push(reads);
            index = reads.firstIndex;
            commitLsn = readsLsn(block.context.lastCommitLsn);
            break;
          }
          case FRAME.read: {
            decodeRow(block.buffer, start, next, event);
            const tuple = event.hasNew ? event.newTuple : event.oldTuple;
            logged.rows.push({
              action: event.hasNew ? 'read' : 'gone',
              ...shapeOf(relations.get(readRelationId(event.relationId))!),
              values: texts(event.bytes, tuple),
              ...damageOf(tuple, relations.get(readRelationId(event.relationId))!),
              commitLsn,
              index: index++,
            });
            break;
          }
          case FRAME.insert:
          case FRAME.update:
          case FRAME.delete: {
            decodeRow(block.buffer, start, next, event);
            const tuple = event.hasNew ? event.newTuple : event.oldTuple;
            logged.rows.push({
              action: event.action,
              ...shapeOf(relations.get(event.relationId)!),
              values: texts(event.bytes, tuple),
              ...damageOf(tuple, relations.get(event.relationId)!),
              ...(event.oldKind !== 'none' && { old: texts(event.bytes, event.oldTuple) }),
              commitLsn,
              index: index++,
            });
            break;
          }
          default:
        }
      }
      if (block.blockEnd >= end) break;
    }
  } finally {
    done.abort();
    reader.close();
  }
  return logged;
}

const shapeOf = (relation: Relation) => ({
  table: relation.table,
  columns: relation.columns.length,
  relation,
});

const damageOf = (tuple: Tuple, { columns }: Relation): Pick<LoggedRow, 'damaged'> =>
  tuple.damagedCount === 0
    ? {}
    : { damaged: columns.filter((_, i) => isDamaged(tuple, i)).map(({ name }) => name) };

/** In place of a large value that did not change, and was not sent. */
export const NOT_SENT_AGAIN = '(unchanged)';

const texts = (bytes: Buffer, tuple: Tuple): (string | null)[] =>
  Array.from({ length: tuple.columnCount }, (_, i) =>
    tuple.lengths[i] === NULL_VALUE
      ? null
      : tuple.lengths[i] === UNCHANGED_TOAST
        ? NOT_SENT_AGAIN
        : bytes.toString('utf8', tuple.starts[i], tuple.starts[i]! + tuple.lengths[i]!),
  );

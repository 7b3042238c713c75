// What a sink would do with the changes of a log that lies in many segments: all of them, the last ones, and those at a place.
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { openWrittenLog } from '../../../src/log/written.ts';
import type { LogWriter } from '../../../src/log/writer.ts';
import { encodeEnrichment } from '../../../src/pgoutput/enrichment.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import {
  changesAt,
  explainChanges,
  lastChanges,
  type ExplainOptions,
} from '../../../src/pipeline/sink/explain/changes.ts';
import { formats } from '../../../src/formats/registry.ts';
import { parsePlace } from '../../../src/cli/explain/position.ts';
import {
  append,
  begin,
  commit,
  frames,
  HISTORY,
  openTestLog,
  scratchDirectory,
  SETTINGS,
} from '../../log/stream.ts';
import { ENVELOPE } from '../../support/decode.ts';
import { routeTo } from '../../support/dispatcher.ts';
import { silent } from '../../support/messages.ts';
import { insertMessage, logicalMessage, relationMessage } from '../../support/pgoutput-messages.ts';

const INT4 = 23;
const columns = [{ name: 'id', type: INT4, identity: true }];
const relations = ['users', 'others'].flatMap((table, i) => [
  relationMessage({ id: i + 1, schema: 'public', table, identity: 'd', columns }),
  encodeEnrichment({ relationId: i + 1, key: ['id'], types: new Map() }),
]);

let directory: string;
let log: LogWriter;

beforeEach(async () => {
  directory = join(scratchDirectory(), 'log');
  const settings = { ...SETTINGS, segmentBytes: 4096 };
  ({ log } = await openTestLog(directory, { settings, prologue: () => frames(...relations) }));
  append(log, relations);
});

/** A transaction with a row of each table, `rows` times, with what else is told of it. */
function write(commitLsn: bigint, rows = 1, markers: readonly Buffer[] = [], history = HISTORY): void {
  const messages = Array.from({ length: rows }, (_, row) => [
    insertMessage(1, [`${commitLsn}${row}`]),
    insertMessage(2, [`${commitLsn}${row}`]),
  ]);
  // In blocks of their own, so that a transaction lies in several segments.
  append(log, [begin({ commitLsn, rows: 0 }), ...markers], history);
  for (const pair of messages) append(log, pair, history);
  append(log, [commit({ commitLsn, rows: 0 })], history);
}

function opened(settings: Partial<SinkSettings> = {}): ExplainOptions {
  const written = openWrittenLog(directory, '0.1.0')!;
  const format = formats.sequin;
  return {
    settings: {
      name: 'users',
      selection: { includeTables: [{ schema: ['public'], table: ['users'] }] },
      tables: [],
      backfill: {},
      actions: ['insert'],
      format: 'sequin',
      values: format.values,
      messageGrouping: true,
      keyChanges: 'update',
      ddl: 'ignore',
      maxParked: 1000,
      ...settings,
    } as SinkSettings,
    envelope: ENVELOPE,
    sink: {
      routeOf: () => routeTo('q', { messageBytes: 1 << 20 }),
      sizeOf: (message: { jsonBytes: number }) => message.jsonBytes,
    } as unknown as ExplainOptions['sink'],
    heedsSkips: true,
    logger: silent,
    log: written,
    logDirectory: directory,
    streamKey: 'key',
    salts: [],
  };
}

const said = ({ position, table, notSent, seen }: Awaited<ReturnType<typeof lastChanges>>[number]): string =>
  `${position.commitLsn}:${position.index} ${table.table} ${
    notSent ??
    seen()
      .map(({ group }) => group)
      .join()
  }`;

test('every change of the log is explained, with what markers say, however many segments a transaction has', async () => {
  write(100n);
  write(200n, 200, [logicalMessage('tailrace:skip', 'users')]);
  write(300n);
  const options = opened();
  const all: string[] = [];
  for await (const change of explainChanges(options)) all.push(said(change));
  expect(all).toHaveLength(404);
  expect(all.slice(0, 4)).toEqual([
    '100:0 users public.users:1000',
    '100:1 others table',
    '200:0 users marker',
    '200:1 others table',
  ]);
  // Wherever reading begins, the end is told alike: a marker before it counts.
  for (const count of [1, 2, 3, 50, 200, 403, 404, 1000]) {
    expect((await lastChanges(options, count)).map(said)).toEqual(all.slice(-count));
  }
  const meant = await lastChanges(options, 2, ({ notSent }) => notSent === undefined);
  expect(meant.map(said)).toEqual(['100:0 users public.users:1000', '300:0 users public.users:3000']);
  options.log.reader.close();
});

test('an LSN that two histories have names the changes of both, and those of the lost one are not sent', async () => {
  write(100n);
  write(200n);
  await log.part({ lsn: toLsn(150n), flushed: toLsn(0n), history: { epoch: 1, timeline: 2 } });
  write(200n, 2, [], { epoch: 1, timeline: 2 });
  await log.sync();
  const options = opened();
  expect(
    (await changesAt(options, toLsn(200n))).map((change) => `${change.position.epoch} ${said(change)}`),
  ).toEqual([
    '0 200:0 users done',
    '0 200:1 others table',
    '1 200:0 users public.users:2000',
    '1 200:1 others table',
    '1 200:2 users public.users:2001',
    '1 200:3 others table',
  ]);
  expect(await changesAt(options, toLsn(150n))).toEqual([]);
  options.log.reader.close();
});

test('what an unfinished transaction has is not told, and a log without any has nothing to tell', async () => {
  expect(openWrittenLog(directory, '0.1.0')).toBeUndefined();
  write(100n);
  append(log, [begin({ commitLsn: 200n, rows: 0 }), insertMessage(1, ['5'])]);
  const options = opened();
  expect((await lastChanges(options, 10)).map(said)).toEqual([
    '100:0 users public.users:1000',
    '100:1 others table',
  ]);
  options.log.reader.close();
});

test('a place is written as messages, logs and dead letters have it', () => {
  const lsn = toLsn(0x16b374d848n);
  expect(parsePlace('16/B374D848')).toEqual({ lsn, index: undefined, epoch: undefined });
  expect(parsePlace('16/B374D848:3')).toEqual({ lsn, index: 3, epoch: undefined });
  expect(parsePlace('2:16/B374D848:3')).toEqual({ lsn, index: 3, epoch: 2 });
  expect(parsePlace(`${lsn}:0`)).toEqual({ lsn, index: 0, epoch: undefined });
  for (const text of ['', 'x', '16/B374D848:', '1:2:3:4', '16/B374D848:-1', '16/GG:0'])
    expect(parsePlace(text)).toBeUndefined();
});

// A log that format version 2 wrote (test/log/format-2, made by that version): it opens, its rows render, and it goes on in the present format.
import { cpSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { Relation } from '../../src/core/change.ts';
import { ORIGIN } from '../../src/core/position.ts';
import { ZERO_LSN } from '../../src/core/lsn.ts';
import { openLogReader } from '../../src/log/reader.ts';
import { FORMAT_VERSION } from '../../src/log/format.ts';
import { endOf, listSegments } from '../../src/log/segments.ts';
import { encodeEnrichment } from '../../src/pgoutput/enrichment.ts';
import { LogWalker } from '../../src/pipeline/intake/log-walker.ts';
import { relationMessage } from '../support/pgoutput-messages.ts';
import { frames, HISTORY, openTestLog, scratchDirectory } from './stream.ts';

const WRITTEN = resolve(import.meta.dirname, 'format-2');
const OPTIONS = {
  identity: { systemIdentifier: '7000000000000000001', databaseOid: 5, slot: 'slot' },
  streamOptions: { publication: 'pub', via_root: 'true', messages: 'true' },
};

const versionOf = (path: string): number => readFileSync(path).readUInt16BE(6);

test('a log of format version 2 opens, and its relations are as they were: nobody’s partitions', async () => {
  const directory = join(scratchDirectory(), 'log');
  cpSync(WRITTEN, directory, { recursive: true });
  expect(versionOf(join(directory, `${'0'.repeat(20)}.log`))).toBe(2);
  const before = listSegments(directory);
  const { log, signals } = await openTestLog(directory, OPTIONS);
  expect(log.recovered).toMatchObject({
    created: false,
    cutBytes: 0,
    damaged: false,
    streamOptionsChanged: false,
    lastCommitLsn: 1000n,
  });
  const columns = [{ name: 'id', type: 23, identity: true }];
  const ancestors = [{ oid: 20_000, schema: 'public', table: 'ev', published: true }];
  const appended = frames(
    relationMessage({ id: 16_390, schema: 'public', table: 'ev1', identity: 'd', columns }),
    encodeEnrichment({ relationId: 16_390, key: ['id'], keySince: 0, types: new Map(), ancestors }),
  );
  log.append(appended, appended.length, HISTORY);

  const relations: Relation[] = [];
  const rows: string[] = [];
  const walker = new LogWalker(
    'key',
    { position: ORIGIN, offset: 0, endLsn: ZERO_LSN },
    {
      marker: (transaction) => transaction,
      markersLost: () => undefined,
      committed: () => undefined,
      relation: (relation) => relations.push(relation),
      row: ({ relationId, index }) => void rows.push(`${relationId} ${index}`),
      truncate: () => undefined,
      oversize: () => undefined,
      reads: () => undefined,
      letIn: () => true,
    },
  );
  const done = new AbortController();
  const reader = openLogReader(directory, signals);
  for await (const block of reader.read('earliest', done.signal)) {
    await walker.block(block, done.signal);
    if (block.blockEnd >= signals.writtenEnd()) done.abort();
  }
  expect(rows).toEqual(['16384 0', '16384 1']);
  const [users, leaf] = relations.filter(({ id }, i) => relations.findIndex((it) => it.id === id) === i);
  expect(users).toMatchObject({ table: 'users', key: ['id'] });
  expect(users).not.toHaveProperty('ancestors');
  expect(users!.types.get(16_400)).toEqual({ kind: 'enum', name: 'mood' });
  expect(leaf).toMatchObject({ table: 'ev1', ancestors });
  expect(FORMAT_VERSION).toBe(4);
  // What only the present format has stands in no file of an earlier one: not one byte more does.
  const [first, second, ...more] = listSegments(directory);
  expect(first).toEqual(before[0]);
  expect(versionOf(second!.path)).toBe(FORMAT_VERSION);
  expect(second!.startOffset).toBe(endOf(first!));
  expect(more).toEqual([]);
});

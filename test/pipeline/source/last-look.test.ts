// What is known of the publication when the store is lost: the look that is kept beside the log, or nothing.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { LogSignals } from '../../../src/log/signals.ts';
import { GapKeeper } from '../../../src/pipeline/source/gaps.ts';
import { LookKeeper, type Looking } from '../../../src/pipeline/source/looks.ts';
import type { SourceOptions } from '../../../src/pipeline/source/options.ts';
import { SourceState } from '../../../src/pipeline/source/status.ts';
import { LOOK_FILE } from '../../../src/store/look-file.ts';
import { openStore, type Store } from '../../../src/store/sqlite.ts';
import { scratchDirectory } from '../../log/stream.ts';
import { PretendedServer } from '../../model/server.ts';
import { databaseSettings } from '../../support/database-settings.ts';

const PUBLICATION = 'pub_first';
let server: PretendedServer;
let directory: string;
let store: Store;

beforeEach(() => {
  server = new PretendedServer(18);
  server.makePublication(PUBLICATION);
  directory = scratchDirectory();
  mkdirSync(directory, { recursive: true });
  openAnotherStore();
});

function openAnotherStore(): void {
  const opened = openStore(':memory:');
  onTestFinished(() => opened.close());
  store = opened;
}

/** A connection of another process, up to where the server is proved. Answers the gaps by then. */
async function connect({ wasRead = true } = {}) {
  const settings = databaseSettings(
    { name: 'shop', host: 'nowhere', port: 0 },
    { publication: { name: PUBLICATION } },
  );
  const options = {
    settings,
    store,
    directory,
    signals: new LogSignals(),
    sinkSlots: new Map([['all', 0]]),
    selections: [{}],
    logger: pino({ level: 'silent' }),
  } as unknown as SourceOptions;
  const looks = new LookKeeper(options, new GapKeeper(options, new SourceState(settings, () => 0)));
  const looking: Looking = {
    client: server.client(),
    serverVersion: 180_000,
    server: { systemIdentifier: '7', timeline: 1, switches: [] },
  };
  looks.recall({ wasRead });
  await looks.keep(await looks.first(looking), looking);
  looks.prove();
  return store.gaps.unaccepted('shop');
}

describe('after the store was lost', () => {
  test('transactions have the salts that they had, and the last of them counts as before', async () => {
    const ranges = [
      { epoch: 1, from: toLsn(1n), to: toLsn(9n), salt: 'first' },
      { epoch: 2, from: toLsn(5n), to: toLsn(12n), salt: 'second' },
    ];
    for (const range of ranges) store.renumbered.add('shop', range);
    await connect();
    openAnotherStore();
    await connect();
    expect(store.renumbered.salts('shop')).toEqual(ranges.toReversed());
    // And not twice.
    await connect();
    expect(store.renumbered.salts('shop')).toHaveLength(2);
  });

  test('a publication that is as it was proves that nothing is missing', async () => {
    expect(await connect({ wasRead: false })).toEqual([]);
    openAnotherStore();
    expect(await connect()).toEqual([]);
  });

  test('one that was narrowed and restored meanwhile is a gap from the last look on', async () => {
    await connect({ wasRead: false });
    const from = server.walEnd;
    openAnotherStore();
    server.idle(500);
    server.publish(PUBLICATION, ['update']);
    server.publish(PUBLICATION);
    const [gap, ...others] = await connect();
    expect(others).toEqual([]);
    expect(gap).toMatchObject({ cause: 'publication_changed', from: `0/${from.toString(16).toUpperCase()}` });
    expect(gap).toHaveProperty('to');
  });

  test('a gap that has no end yet is on record again, and ends when it would have', async () => {
    await connect({ wasRead: false });
    server.publish(PUBLICATION, ['update']);
    const [open] = await connect();
    expect(open).not.toHaveProperty('to');
    openAnotherStore();
    const [again] = await connect();
    expect(again).toMatchObject({ cause: 'publication_changed', from: open!.from, tables: open!.tables });
    expect(again).not.toHaveProperty('to');
    server.publish(PUBLICATION);
    expect((await connect()).map(({ to }) => to)).toEqual([expect.any(String)]);
  });

  test('and the file beside the log with it, nothing is known: a gap of everything by now, once', async () => {
    await connect({ wasRead: false });
    openAnotherStore();
    rmSync(join(directory, LOOK_FILE));
    const [gap] = await connect();
    expect(gap).toMatchObject({ cause: 'publication_changed', from: '0/0', halts: true });
    expect(gap).not.toHaveProperty('tables');
    expect(await connect()).toHaveLength(1);
  });

  test('a slot that nobody has read with is a first start', async () => {
    expect(await connect({ wasRead: false })).toEqual([]);
  });
});

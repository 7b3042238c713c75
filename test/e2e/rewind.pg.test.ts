// Rewinds over a FIFO queue: exactly the changes from there on come again, whatever is killed meanwhile.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listSegments } from '../../src/log/segments.ts';
import { configText } from '../support/config.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { startSqsEmulator, type ReceivedMessage, type SqsEmulator } from '../support/fauxqs.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';
import { seededRandom, type ChangeMessage } from '../support/workload.ts';

const world = endToEnd();

type Metadata = ChangeMessage['metadata'] & { commit_timestamp: string };
const changeOf = (message: { readonly body: string }) =>
  JSON.parse(message.body) as { record: { id: number }; metadata: Metadata };
const idOf = (message: { readonly body: string }): number => changeOf(message).record.id;
const keyOf = (message: { readonly body: string }): string => changeOf(message).metadata.idempotency_key;
const lsnText = (lsn: number): string =>
  `${Math.floor(lsn / 2 ** 32).toString(16)}/${(lsn % 2 ** 32).toString(16)}`.toUpperCase();

const insert = (from: number, to: number) =>
  world.database.client.query('insert into t select generate_series($1::int, $2::int)', [from, to]);

beforeEach(async () => {
  await world.database.client.query('create table t (id int primary key)');
});

describe('over a FIFO queue of an emulator', () => {
  let emulator: SqsEmulator;
  beforeEach(async () => {
    emulator = await startSqsEmulator();
  });
  afterEach(async () => {
    // The service ends first (endToEnd), or it would look for its queue in vain.
    await world.service.stop();
    await emulator.stop();
  });

  const received = (): ReceivedMessage[] => emulator.messagesOf('changes.fifo');
  const arrived = async (count: number): Promise<ReceivedMessage[]> => {
    await waitFor(() => received().length >= count, `${count} messages`);
    return received();
  };

  test('by LSN, by time and to the earliest: the same changes with the same keys, in order, not swallowed', async () => {
    await world.start({
      config: configText({ database: world.database, endpoint: emulator.url, sinks: [{ tables: ['t'] }] }),
    });
    for (let id = 1; id <= 20; id += 2) await insert(id, id + 1);
    const first = await arrived(20);
    const { commit_lsn: lsn, commit_timestamp: time } = changeOf(first.find((m) => idOf(m) === 11)!).metadata;

    const answer = await askCommand(world.service, 'rewind', 'sink-0', '--to', lsnText(lsn));
    expect(answer).toMatchObject({
      name: 'sink-0',
      rewinds: 1,
      from: lsnText(lsn),
      withdrawn_dead_letters: 0,
    });
    const again = (await arrived(30)).slice(20);
    expect(again.map(idOf).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 10 }, (_, i) => 11 + i));
    for (const message of again) {
      const before = first.find((m) => idOf(m) === idOf(message))!;
      expect(keyOf(message)).toBe(keyOf(before));
      expect(message.body).toBe(before.body);
      expect(message.dedup).toBe(`${before.dedup}:r1`);
    }

    await askCommand(world.service, 'rewind', 'shop/sink-0', '--to', time);
    expect(
      (await arrived(40))
        .slice(30)
        .map(idOf)
        .toSorted((a, b) => a - b),
    ).toEqual(again.map(idOf).toSorted((a, b) => a - b));
    await insert(21, 21);
    await arrived(41);
    await askCommand(world.service, 'rewind', 'sink-0', '--to', 'earliest');
    const all = (await arrived(62)).slice(41);
    expect(all.map(idOf).toSorted((a, b) => a - b)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
    expect(all.every(({ dedup }) => dedup!.endsWith(':r3'))).toBe(true);
    const sink = await waitFor(async () => {
      const [sink] = (await world.service.health()).sinks;
      return sink!.rewinds === 3 && sink!.lagBytes === 0 && sink;
    }, 'the status to say so');
    expect(sink).toMatchObject({ status: 'healthy', gaps: [] });
  });

  test('what is not settled yet and what the log no longer has are refused with what is there', async () => {
    const config = `${configText({ database: world.database, endpoint: emulator.url, sinks: [{ tables: ['t'] }] })}
log: { retention: 0, segment_bytes: 64KB }
`;
    await world.start({ config });
    await insert(1, 1);
    const { commit_lsn: firstLsn, commit_timestamp: firstTime } = changeOf((await arrived(1))[0]!).metadata;
    const future = await runCommand(world.service, 'rewind', 'sink-0', '--to', 'FF/0');
    expect(future.code).toBe(1);
    expect(future.stderr).toMatch(/not settled that yet.*goes back only/);
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
    expect((await runCommand(world.service, 'rewind', 'sink-0', '--to', tomorrow)).code).toBe(1);
    const slip = await runCommand(world.service, 'rewind', 'sink-0', '--to', 'yesterday');
    expect(slip.code).toBe(2);
    expect(slip.stderr).toContain('earliest, an LSN such as 16/B374D848');
    expect((await runCommand(world.service, 'rewind', 'nobody', '--to', 'earliest')).stderr).toContain(
      'no sink "nobody"',
    );

    const [first] = listSegments(join(world.directory, 'data/log/shop'));
    for (let i = 0; i < 4; i++) {
      await insert(10 + i * 1000, 1009 + i * 1000);
      await arrived(1 + (i + 1) * 1000);
    }
    await waitFor(() => !existsSync(first!.path), 'the log to let go of the beginning');
    for (const to of [lsnText(firstLsn), firstTime]) {
      const gone = await runCommand(world.service, 'rewind', 'sink-0', '--to', to);
      expect(gone.code).toBe(1);
      expect(gone.stderr).toMatch(
        /the change log begins after LSN [0-9A-F]+\/[0-9A-F]+ \(committed at 20.*rewind to "earliest"/,
      );
    }
    // Nothing was sent again, and the sink goes on.
    await insert(9999, 9999);
    const messages = await arrived(4002);
    expect(new Set(messages.map(idOf)).size).toBe(4002);
    expect(messages.every(({ dedup }) => !dedup!.includes(':r'))).toBe(true);
  });
});

test('kill -9 around rewinds leaves the sink rewound or as it was: after the last one every change comes with its number', async () => {
  const config = world.config({ sinks: [{ tables: ['t'] }] });
  const random = seededRandom(17);
  await world.start({ config });
  let last = 0;
  for (let round = 0; round < 5; round++) {
    await insert(last + 1, last + 300);
    last += 300;
    // The sink runs, and has settled something.
    await waitFor(async () => {
      const [sink] = (await world.service.health()).sinks;
      return sink?.state === 'running' && sink.settled !== '0/0';
    }, 'the sink to have a place');
    const url = await world.service.apiUrl();
    const answer = fetch(`${url}/api/sinks/sink-0/rewind`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"to":"earliest"}',
    }).catch(() => undefined);
    const more = world.recorder.counts.accepted + Math.floor(random() * 400);
    // Killed before the answer, at it, or while the changes go out again.
    if (round % 2 === 0)
      await Promise.race([answer, waitFor(() => world.recorder.counts.accepted > more, 'some of it')]);
    else await waitFor(() => world.recorder.counts.accepted > more, 'some of it');
    await world.service.kill();
    await answer;
    await world.start({ config });
  }
  await insert(last + 1, last + 10);
  last += 10;
  // The log may not have had all of it when the last service was killed.
  await waitFor(() => new Set(world.recorder.messages.map(idOf)).size === last, 'each change to come once');
  const rewinds = await waitFor(async () => {
    const [sink] = (await world.service.health()).sinks;
    return sink!.state === 'running' && sink!.lagBytes === 0 && sink!.inFlight === 0 && sink!.rewinds;
  }, 'everything to be delivered');
  expect(rewinds).toBeGreaterThan(0);
  expect(rewinds).toBeLessThanOrEqual(5);
  const sinceLast = world.recorder.messages.filter(({ dedup }) => dedup!.endsWith(`:r${rewinds}`));
  const ids = sinceLast.map(idOf);
  expect(new Set(ids).size).toBe(ids.length);
  // A rewind that the kill prevented has no number: what came before the last one that counts came again with it.
  expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: last }, (_, i) => i + 1));
});

// A backfill beside live changes of another sink: it gives way to them, says so, and ends.
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import type { BackfillDocument } from '../../src/pipeline/service/backfill-document.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { runCommand } from '../support/operator.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

const ROWS = 300_000;
const LOOK_MS = 20;

async function startWorld(): Promise<void> {
  await world.database.client.query(`create table t (id int primary key, note text);
    insert into t select i, 'old' from generate_series(1, ${ROWS}) i; create table busy (id int primary key, n int);
    insert into busy values (1, 0); analyze t`);
  await world.start({
    config: world.config({
      sinks: [
        { name: 'live', tables: ['busy'] },
        { name: 'rows', tables: ['t'], queue: 'rows.fifo', extra: `where: 'id <= 10'` },
      ],
    }),
  });
}

/** Changes one row again and again; answers how to end that, which answers how often it did. */
function change(): () => Promise<number> {
  let isOver = false;
  const changing = (async () => {
    const client = new Client({ connectionString: world.database.url });
    await client.connect();
    let changes = 0;
    for (; !isOver; changes++) {
      await client.query('update busy set n = n + 1');
      await sleep(2);
    }
    await client.end();
    return changes;
  })();
  return async () => {
    isOver = true;
    return await changing;
  };
}

const backfillsUrl = async (): Promise<string> =>
  `${await world.service.apiUrl()}/api/databases/shop/backfills`;

async function start(body: object): Promise<string> {
  const answer = await fetch(await backfillsUrl(), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sinks: ['rows'], ...body }),
  });
  return ((await answer.json()) as { readonly backfill: BackfillDocument }).backfill.id;
}

const shown = async (id: string): Promise<BackfillDocument> =>
  (await (await fetch(`${await backfillsUrl()}/${id}`)).json()) as BackfillDocument;

/** What is said of it from the first row to the last. */
async function told(id: string): Promise<readonly BackfillDocument[]> {
  const all: BackfillDocument[] = [];
  await waitFor(async () => {
    const document = await shown(id);
    all.push(document);
    await sleep(LOOK_MS);
    return document.state === 'completed';
  }, 'the backfill to be complete');
  return all;
}

test('beside live changes it has a pace, which it says; when they end it has none, and every row is there', async () => {
  await startWorld();
  const stop = change();
  const delivered = (): number => world.recorder.messagesOf('changes.fifo').length;
  await waitFor(() => delivered() > 20, 'live changes');
  const id = await start({});
  const slow = await waitFor(async () => {
    const document = await shown(id);
    return document.pace_rows_per_second !== null && document;
  }, 'it to give way');
  expect(slow).toMatchObject({ state: 'running', gives_way: true });
  // At full speed this table is read in less time than it takes to notice.
  expect(slow.rows).toBeLessThan(ROWS / 2);
  // Between two chunks that are late there may be a moment without one.
  await waitFor(
    async () =>
      /gives way: +to live changes: [\d,]+ rows\/s|state: +completed/.test(
        (await runCommand(world.service, 'backfill', 'show', id)).stdout,
      ),
    'it to say so',
  );
  const changes = await stop();
  const documents = await told(id);
  expect(documents.at(-1)).toMatchObject({ rows: ROWS, pace_rows_per_second: null });
  await waitFor(() => delivered() === changes, 'every live change');
  await waitFor(() => world.recorder.messagesOf('rows.fifo').length === 10, 'the rows that are wanted');
});

test('one that is not to give way has no pace, whatever comes meanwhile', async () => {
  await startWorld();
  const stop = change();
  await waitFor(() => world.recorder.messagesOf('changes.fifo').length > 20, 'live changes');
  const id = await start({ gives_way: false });
  const documents = await told(id);
  await stop();
  expect(documents.at(-1)).toMatchObject({ rows: ROWS, gives_way: false });
  expect(documents.filter(({ pace_rows_per_second: pace }) => pace !== null)).toEqual([]);
});

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Worker } from 'node:worker_threads';
import { takeThread, warmUp } from '../../../src/pipeline/threads/warm.ts';
import { createWorkDirectory } from '../../support/service.ts';
import { waitFor } from '../../support/wait.ts';

const MODULE = new URL('../../../src/pipeline/threads/warm.ts', import.meta.url).href;

/** Says which thread it is, what it was taken with, and a variable as it is by then. `first`: runs when it is loaded. */
const entry = (first = ''): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { parentPort, threadId } from 'node:worker_threads';
      import { whenTaken } from ${JSON.stringify(MODULE)};
      ${first}
      whenTaken((data) => {
        parentPort.on('message', (more) => {
          parentPort.postMessage({ threadId, data, more, variable: process.env.TAILRACE_TEST_WARM });
          parentPort.close();
        });
      });`)}`,
  );

const taken: Worker[] = [];
afterEach(async () => {
  delete process.env['TAILRACE_TEST_WARM'];
  for (const worker of taken.splice(0)) await worker.terminate();
});

async function answerOf(url: URL, data: unknown): Promise<unknown> {
  const worker = takeThread(url, data);
  taken.push(worker);
  worker.postMessage('more');
  const [answer] = (await once(worker, 'message')) as [unknown];
  return answer;
}

test('a thread is taken once, begins with its data and hears what is said after that', async () => {
  const url = entry();
  const data = { names: new Set(['a']), at: 5n, shared: new SharedArrayBuffer(4) };
  warmUp(url);
  process.env['TAILRACE_TEST_WARM'] = 'set while it waited';
  const first = await answerOf(url, data);
  const second = await answerOf(url, data);
  const expected = { data, more: 'more', variable: 'set while it waited' };
  expect(first).toMatchObject(expected);
  expect(second).toMatchObject(expected);
  expect((second as { threadId: number }).threadId).not.toBe((first as { threadId: number }).threadId);
});

test('one that could not load ends nobody, and whoever needs one gets another', async ({
  onTestFinished,
}) => {
  const directory = createWorkDirectory();
  onTestFinished(() => directory.remove());
  const flag = JSON.stringify(join(directory.path, 'failed once'));
  const url = entry(`
    import { existsSync, writeFileSync } from 'node:fs';
    if (!existsSync(${flag})) {
      writeFileSync(${flag}, '');
      throw new Error('once');
    }`);
  warmUp(url);
  await waitFor(() => existsSync(join(directory.path, 'failed once')), 'the thread to fail');
  // It may have been taken just before that was known: then it is heard.
  const answer = await waitFor(() => answerOf(url, 1).catch(() => undefined), 'a thread that answers');
  expect(answer).toMatchObject({ data: 1, more: 'more' });
});

test.each([
  { which: 'that nobody takes', first: '' },
  { which: 'that is still loading', first: 'await new Promise((done) => setTimeout(done, 600_000));' },
])('a thread $which keeps no process', ({ first }) => {
  const script = `import { warmUp } from ${JSON.stringify(MODULE)}; warmUp(new URL(${JSON.stringify(entry(first).href)})); console.log('warm');`;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'warm\n' });
});

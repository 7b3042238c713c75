import { expect, test, vi } from 'vitest';
import { untilDescriptorsFree } from '../../../src/pipeline/threads/descriptors.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { waitFor } from '../../support/wait.ts';

const free = vi.hoisted(() => ({ isSo: true, asked: 0 }));
vi.mock(import('../../../src/core/descriptors.ts'), () => ({
  areDescriptorsFree: () => {
    free.asked++;
    return free.isSo;
  },
}));

function logged(): { lines: Record<string, unknown>[]; logger: ReturnType<typeof createLogger> } {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): number => lines.push(JSON.parse(line) as Record<string, unknown>);
  return { lines, logger: createLogger({ level: 'info', destination: { write } }) };
}

test('a start goes on at once where there are file descriptors', async () => {
  const { lines, logger } = logged();
  free.isSo = true;
  await untilDescriptorsFree('the service', logger);
  expect(lines).toEqual([]);
});

test('a start without file descriptors says once who waits and what cures it, and goes on when some are free', async () => {
  const { lines, logger } = logged();
  Object.assign(free, { isSo: false, asked: 0 });
  let isOver = false;
  const waiting = untilDescriptorsFree('the source of database "shop"', logger).then(() => (isOver = true));
  await waitFor(() => free.asked > 2, 'it to ask again');
  expect(isOver).toBe(false);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({
    level: 'warn',
    msg: expect.stringContaining('the source of database "shop"') as string,
    hint: expect.stringContaining('LimitNOFILE') as string,
  });
  free.isSo = true;
  await waiting;
});

test('a start that is not wanted any more waits no longer', async () => {
  const { logger } = logged();
  Object.assign(free, { isSo: false, asked: 0 });
  const stopping = new AbortController();
  const waiting = untilDescriptorsFree('the sinks', logger, stopping.signal);
  stopping.abort();
  await expect(waiting).resolves.toBeUndefined();
});

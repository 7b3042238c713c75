import { expect, test } from 'vitest';
import { wallMs } from '../../../src/core/clock.ts';
import { stableUuid } from '../../../src/core/idempotency.ts';
import { stream } from '../../../src/sinks/stream/stream.ts';
import { sinkDefinition } from '../../../src/sinks/registry.ts';
import { pullSinkSuite } from '../../pull-sink-suite.ts';
import { message, patient, silent } from '../../support/messages.ts';

type Answer = { readonly data: readonly { readonly ack_id: string; readonly data: unknown }[] };

/** `data` as it stands in the answer: its own tokens, not what a parser makes of them. */
function read(answer: Uint8Array): { id: string; body: string }[] {
  const text = Buffer.from(answer).toString();
  const parsed = JSON.parse(text) as Answer;
  const parts = text
    .slice('{"data":['.length, -']}'.length)
    .split(/(?:^|,)\{"ack_id":"[0-9a-f-]{36}","data":/);
  return parsed.data.map(({ ack_id: id }, index) => ({ id, body: parts[index + 1]!.slice(0, -1) }));
}

pullSinkSuite('The pull stream', {
  type: 'sequin_stream',
  impatient: { visibility_timeout_ms: 500 },
  oneWaiting: { max_waiting: 1 },
  read,
});

test('sequin_stream and stream are one sink', () => {
  expect(sinkDefinition('sequin_stream')).toBe(sinkDefinition('stream'));
});

test('its defaults are Sequin’s', () => {
  expect(stream.config.parse({ type: 'sequin_stream' })).toEqual({
    type: 'sequin_stream',
    visibility_timeout_ms: 30_000,
    max_ack_pending: 10_000,
    max_waiting: 20,
  });
});

test('as many messages are out at one time as max_ack_pending says: each takes a lane, alone', async () => {
  const leases = { load: () => [], save: () => undefined, remove: () => undefined, close: () => undefined };
  const sink = await stream.create(stream.config.parse({ type: 'stream', max_ack_pending: 7 }), {
    name: 'users',
    rewinds: 0,
    logger: silent,
    pull: { openLeases: () => leases, remembered: () => Promise.resolve() },
  });
  const route = sink.routeOf({ schema: 'public', table: 'users', action: 'insert' });
  expect(route?.limits).toMatchObject({ lanesPerRoute: 7, batchCount: 1 });
  await sink.close();
});

test('a message is acknowledged, and forgotten here, only when the ledger has it', async () => {
  const steps: string[] = [];
  let remember: (() => void) | undefined;
  const sink = await stream.create(stream.config.parse({ type: 'stream' }), {
    name: 'users',
    rewinds: 0,
    logger: silent,
    pull: {
      openLeases: () => ({
        load: () => [],
        save: () => steps.push('leased'),
        remove: () => steps.push('forgotten'),
        close: () => undefined,
      }),
      remembered: () => new Promise((done) => (remember = done)),
    },
  });
  const delivery = sink
    .deliver([message()], patient, sink.routeOf(message())!)
    .then(() => steps.push('delivered'));
  const answer = await sink.pull!.receive({ maxCount: 1, waitMs: 0 }, patient);
  const ack = sink.pull!.ack([read(answer!)[0]!.id]).then(() => steps.push('acknowledged'));
  await delivery;
  expect(steps).toEqual(['leased', 'delivered']);
  remember!();
  await ack;
  expect(steps).toEqual(['leased', 'delivered', 'forgotten', 'acknowledged']);
  await sink.close();
});

test('a lease that a clock in the future gave ends after the timeout that is configured', async () => {
  const late = message({ index: 3 });
  const id = stableUuid('ack', 'users', '0', late.idempotencyKey);
  const leases = {
    load: () => [{ id, visibleAtMs: wallMs() + 86_400_000, acked: false }],
    save: () => undefined,
    remove: () => undefined,
    close: () => undefined,
  };
  const sink = await stream.create(stream.config.parse({ type: 'stream', visibility_timeout_ms: 500 }), {
    name: 'users',
    rewinds: 0,
    logger: silent,
    pull: { openLeases: () => leases, remembered: () => Promise.resolve() },
  });
  const [outcome] = await sink.deliver([late], patient, sink.routeOf(late)!);
  expect(outcome).toMatchObject({ code: 'VISIBILITY_TIMEOUT' });
  await sink.close();
});

// One group blocked while many changes of others, and of its own, pass: memory flat, its own arrive in order afterwards.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

const OTHERS = 200_000;
const OWN = 50_000;
/** What the second half of the load may add to the most that the first half took: its parked offsets, not its payloads. */
const FLAT_MIB = 80;

test('a blocked group holds back only itself, in flat memory, and arrives in order afterwards (C240)', async () => {
  await world.database.client.query('create table t (id int primary key, account int, n int, note text)');
  await world.database.client.query('alter table t replica identity full');
  let blocked = true;
  world.proxy.decide = ({ action }) =>
    action === 'SendMessageBatch' && blocked
      ? { kind: 'entries', senderFault: false, refuse: ({ MessageGroupId }) => MessageGroupId === 'acct-0' }
      : undefined;
  let others = 0;
  const own: number[] = [];
  world.recorder.onMessage = ({ body, group }) => {
    if (group === 'acct-0') own.push((JSON.parse(body) as { record: { n: number } }).record.n);
    else others++;
  };
  await world.start({
    config: world.config({
      faulty: true,
      sinks: [
        { tables: ['t'], destination: 'group_id: "acct-${account}"', extra: 'retry: { max_backoff: 500ms }' },
      ],
    }),
  });
  await world.database.client.query("insert into t values (0, 0, 0, 'first')");
  await waitFor(
    async () => (await world.service.health()).sinks[0]?.blockedGroups.length === 1,
    'the group to block',
  );
  // One change of five belongs to the blocked group.
  let halfway = 0;
  for (let block = 0; block < 50; block++) {
    if (block === 25) {
      await waitFor(() => others >= OTHERS / 2, 'half of the other groups', 110_000);
      halfway = world.service.peakRssMiB();
    }
    await world.database.client.query(
      `insert into t select i, case when i % 5 = 0 then 0 else 1 + i % 1000 end, i, repeat('x', 200)
       from generate_series($1::int, $2::int) i`,
      [1 + block * 5000, (block + 1) * 5000],
    );
  }
  await waitFor(() => others >= OTHERS, `${OTHERS} changes of other groups, at ${others}`, 110_000);
  await waitFor(async () => (await world.service.health()).sinks[0]!.parked >= OWN, 'its own to be parked');
  expect(own).toEqual([]);
  expect(world.service.peakRssMiB() - halfway).toBeLessThan(FLAT_MIB);
  blocked = false;
  await waitFor(() => own.length >= OWN + 1, `${OWN} changes of the blocked group`, 300_000);
  expect(own).toEqual(Array.from({ length: OWN + 1 }, (_, i) => i * 5));
  expect(others).toBe(OTHERS);
  const sink = await waitFor(async () => {
    const { sinks } = await world.service.health();
    return sinks[0]!.delivered === OTHERS + OWN + 1 ? sinks[0]! : undefined;
  }, 'the sink to say so');
  expect(sink).toMatchObject({ parked: 0, deadLettered: 0, blockedGroups: [] });
}, 600_000);

// A running service asks the server what its filters mean: one that means something else there halts its sink alone, until it is mended.
import { expect, test } from 'vitest';
import { endToEnd } from '../support/end-to-end.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

test('a filter that the server refuses halts its sink with the place in the text, and nothing is lost when that is mended', async () => {
  const sql = (text: string) => world.database.client.query(text);
  await sql(`
    create type mood as enum ('sad', 'ok');
    create table orders (id int primary key, mood mood)`);
  const config = world.config({
    sinks: [
      { name: 'moods', queue: 'moods.fifo', tables: ['orders'], extra: `where: "id > 0 and mood <> 'okay'"` },
      { name: 'better', queue: 'better.fifo', tables: ['orders'], extra: `where: "mood > 'ok'"` },
      { name: 'all', queue: 'all.fifo', tables: ['orders'], extra: `where: "id > 0"` },
    ],
  });
  await world.start({ config });
  await sql(`insert into orders values (1, 'ok'), (2, 'sad')`);
  const arrived = (queue: string) => world.recorder.messagesOf(queue).length;
  await waitFor(() => arrived('all.fifo') === 2, 'the other sink');
  const moods = async () => (await world.service.health()).sinks.find(({ name }) => name === 'moods')!;
  await waitFor(async () => (await moods()).state === 'halted', 'the sink to halt');
  expect((await moods()).reason).toMatch(
    /sinks\[moods\]\.where: line 1, column 20 of it: Postgres refuses it: .*okay/,
  );
  expect(arrived('moods.fifo')).toBe(0);
  await sql(`alter type mood add value 'okay'`);
  await waitFor(() => arrived('moods.fifo') === 2, 'the sink to go on by itself');
  // What the log knows of the type is older than the label.
  await sql(`insert into orders values (3, 'okay'), (4, 'ok')`);
  await waitFor(() => arrived('all.fifo') === 4 && arrived('better.fifo') === 1, 'a label that came later');
  expect(world.recorder.messagesOf('better.fifo')[0]!.body).toContain('okay');
});

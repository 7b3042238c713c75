// Masks from end to end: values that are planted under each of them are looked for in everything that leaves the service, and in its files.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startCli } from '../support/cli.ts';
import { endToEnd } from '../support/end-to-end.ts';
import { askCommand, runCommand } from '../support/operator.ts';
import { FAKE_AWS } from '../support/service.ts';
import { waitFor } from '../support/wait.ts';

const world = endToEnd();

const sql = (text: string) => world.database.client.query(text);

const PLANTED = /planted/i;

const RULES = `mask_key: "a key for these tests"
tables:
  - name: public.people
    mask: { id: hash, redacted: redact, nothing: "null", hashed: hash, mail: email, card: { last: 4 }, amount: { last: 1 } }
    rename: { mail: contact }
    exclude_columns: [excluded]
    only_when_changed: [redacted, hashed]
where: "redacted not like '%outside' and 10 / length(excluded) >= 0"`;

/** What files below hold, but those of `except`. */
function contentsBelow(
  directory: string,
  except?: string,
): readonly { readonly file: string; readonly text: string }[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const file = join(directory, entry.name);
    if (!entry.isDirectory()) return [{ file, text: readFileSync(file, 'latin1') }];
    return file === except ? [] : contentsBelow(file, except);
  });
}

async function run(...argv: string[]): Promise<string> {
  const cli = startCli(argv, {
    cwd: world.directory,
    env: { TAILRACE_DATA_DIR: join(world.directory, 'data'), ...FAKE_AWS },
  });
  await cli.code;
  return cli.stdout() + cli.stderr();
}

type Letter = { readonly id: number; readonly code: string };

const COMMANDS = { timeout: 300_000 };

test(
  'values under a mask, and excluded ones, leave in no message, dead letter, answer, line of a log or file',
  COMMANDS,
  async () => {
    await sql(`
    create table people (id text primary key, redacted text, nothing text, hashed text, mail text, card text, amount numeric,
      excluded text, plain text);
    alter table people replica identity full`);
    const row = (id: string, more = '') =>
      `('planted-${id}', 'planted-${id}-a', 'planted-b', 'planted-c', 'planted-d@example.com', 'planted-e-1234', 98765.4321,
      'planted-f${more}', 'shown')`;
    // The message of this one is refused for good, of another one the filter fails.
    world.proxy.decide = ({ action }) =>
      action === 'SendMessageBatch'
        ? {
            kind: 'entries',
            senderFault: true,
            code: 'InvalidMessageContents',
            refuse: (entry) => entry.MessageBody.includes('refused'),
          }
        : undefined;
    const config = world.config({
      faulty: true,
      sinks: [{ name: 'people', queue: 'people.fifo', tables: ['people'], extra: RULES }],
    });
    await world.start({ config: `${config}\nlog_level: debug\n` });
    await sql(`insert into people values ${row('1')}`);
    await sql(
      `insert into people values ('planted-0', 'planted', '', '', '', '', 0, '', 'an error of where')`,
    );
    await sql(
      `insert into people values ('planted-9', 'planted-outside', '', '', '', '', 0, '-', 'outside')`,
    );
    await sql(
      `insert into people values ('planted-2', 'planted', null, null, null, null, null, '-', 'refused')`,
    );
    await sql(`update people set redacted = 'planted-z', nothing = 'planted-y', hashed = 'planted-x', mail = 'planted-w@example.org',
    card = 'planted-v-9876', amount = 11111.1, excluded = 'planted-u' where id = 'planted-1'`);
    await sql(
      `update people set excluded = 'planted-t', mail = 'planted-s@example.com' where id = 'planted-1'`,
    );
    await sql(`update people set id = 'planted-3' where id = 'planted-1'`);
    await sql(`delete from people where id = 'planted-3'`);
    const answers: string[] = [];
    const counts = async () => (await world.service.health()).sinks[0]!;
    await waitFor(async () => (await counts()).deadLettered === 2, 'both dead letters');
    const { dead_letters: letters } = await askCommand<{ dead_letters: Letter[] }>(
      world.service,
      'dead-letters',
      'list',
      'people',
    );
    expect(letters.map(({ code }) => code).toSorted()).toEqual(['InvalidMessageContents', 'WHERE_ERROR']);
    const messages = () => world.recorder.messagesOf('people.fifo');
    await waitFor(() => messages().length === 4, 'four messages');

    const bodies = messages().map(({ body }) => JSON.parse(body) as { record: unknown; changes: unknown });
    expect(bodies[0]!.record).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{64}$/),
      redacted: '***',
      nothing: null,
      hashed: expect.stringMatching(/^[0-9a-f]{64}$/),
      contact: 'p***@example.com',
      card: '***1234',
      amount: '***1',
      plain: 'shown',
    });
    expect(bodies[1]!.changes).toMatchObject({
      contact: 'p***@example.com',
      card: '***1234',
      redacted: '***',
    });

    for (const { id } of letters)
      answers.push(
        JSON.stringify(await askCommand(world.service, 'dead-letters', 'show', 'people', String(id))),
      );
    answers.push(JSON.stringify(await askCommand(world.service, 'status')));
    answers.push((await runCommand(world.service, 'dead-letters', 'list', 'people')).stdout);
    const explained = await run('explain', 'people', '--last', '100');
    expect(explained).toContain('***1234');
    expect(explained).toContain('not sent it leaves redacted, hashed as before (only_when_changed)');
    answers.push(explained, await run('explain', 'people', '--last', '100', '--json'));
    const tried = await run(
      'where',
      'test',
      'people',
      "redacted like 'p%' and amount / length(excluded) > 1",
    );
    expect(tried).toContain('public.people:');
    answers.push(tried);
    const metrics = await (await fetch(`${await world.service.apiUrl()}/metrics`)).text();
    answers.push(metrics, JSON.stringify(messages()));
    await world.service.stop();
    answers.push(world.service.printed.join('\n'), JSON.stringify(world.service.log));
    for (const answer of answers) expect(answer).not.toMatch(PLANTED);
    for (const answer of answers) expect(answer).not.toMatch(/98765|11111\.1/);
    // The log holds the WAL as it came: what is looked for can be found.
    const data = join(world.directory, 'data');
    const log = join(data, 'log');
    expect(contentsBelow(log).some(({ text }) => PLANTED.test(text))).toBe(true);
    const others = contentsBelow(data, log);
    expect(others.length).toBeGreaterThan(2);
    expect(others.filter(({ text }) => PLANTED.test(text)).map(({ file }) => file)).toEqual([]);
  },
);

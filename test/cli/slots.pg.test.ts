// `tailrace slots`: what each server keeps is listed, and dropped where that is asked for, never while the service runs.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { lockDirectory } from '../../src/data-directory/lock.ts';
import { startCli } from '../support/cli.ts';
import { configText } from '../support/config.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { createWorkDirectory } from '../support/service.ts';

test('slots are listed by host; what is dropped without --yes is only said, and a primary loses its slot only where that is asked for', async () => {
  const database = await createTestDatabase();
  const directory = createWorkDirectory();
  onTestFinished(async () => {
    await database.drop();
    directory.remove();
  });
  const data = join(directory.path, 'data');
  mkdirSync(data);
  const config = configText({ database, endpoint: 'http://127.0.0.1:1', sinks: [{ tables: ['t'] }] });
  writeFileSync(join(directory.path, 'tailrace.yaml'), config);
  const run = async (...argv: string[]) => {
    const cli = startCli(['slots', ...argv], { cwd: directory.path, env: { TAILRACE_DATA_DIR: data } });
    return { code: await cli.code, stdout: cli.stdout(), stderr: cli.stderr() };
  };
  const slots = async (): Promise<number> => {
    const { rows } = await database.client.query('select from pg_replication_slots where slot_name = $1', [
      database.name,
    ]);
    return rows.length;
  };
  const listed = async () =>
    (JSON.parse((await run('list', '--json')).stdout) as { slots: readonly unknown[] }).slots;

  const host = `${database.host}:${database.port}`;
  expect(await listed()).toMatchObject([
    { database: 'shop', host, role: 'primary', there: false, fault: null },
  ]);
  await database.client.query(`select pg_create_logical_replication_slot('${database.name}', 'pgoutput')`);
  expect(await listed()).toMatchObject([
    { there: true, active: false, confirmed: expect.stringMatching(/^.+\/.+$/) },
  ]);
  expect((await run('list')).stdout).toMatch(new RegExp(`shop +${host} +primary +${database.name} +free `));

  const said = await run('drop', 'shop', '--everywhere');
  expect(said).toMatchObject({
    code: 1,
    stdout: expect.stringContaining(`drops "${database.name}" on ${host}`),
  });
  expect(await run('drop', 'shop', '--yes')).toMatchObject({ code: 0 });
  expect(await slots()).toBe(1);
  const lock = lockDirectory(data);
  expect((await run('drop', 'shop', '--everywhere', '--yes')).code).toBe(1);
  lock.release();
  expect(await slots()).toBe(1);
  expect(await run('drop', 'shop', '--everywhere', '--yes')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('dropped'),
  });
  expect(await slots()).toBe(0);
  expect((await run('drop', 'shup')).code).toBe(2);
});

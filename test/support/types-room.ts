// Where `tailrace types` is tried: a database with two tables, a directory with a configuration and what is generated.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { startCli } from './cli.ts';
import { configText, type SinkText } from './config.ts';
import { createTestDatabase, type TestDatabase } from './postgres.ts';

export const ORDERS: SinkText = { name: 'orders-sink', tables: ['orders'] };
export const USERS: SinkText = { name: 'users-sink', tables: ['users'] };

export type TypesRoom = {
  /** Of the test that runs. */
  readonly directory: string;
  readonly database: TestDatabase;
  /** Writes tailrace.yaml. */
  configure(...sinks: SinkText[]): Promise<void>;
  types(...options: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** What is below `types`, in order. */
  files(): Promise<string[]>;
};

/** A new one for each test. */
export function typesRoom(): TypesRoom {
  let directory: string;
  let database: TestDatabase;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
    database = await createTestDatabase();
    await database.client.query(`create type state as enum ('new', 'paid');
    create table orders (id int primary key, state state not null, price numeric(10,2), note varchar(20), tags text[]);
    create table users (id int primary key, name text)`);
  });
  afterEach(async () => {
    await database.drop();
    await rm(directory, { recursive: true, force: true });
  });
  return {
    get directory() {
      return directory;
    },
    get database() {
      return database;
    },
    configure: (...sinks) =>
      writeFile(
        join(directory, 'tailrace.yaml'),
        configText({ database, endpoint: 'http://127.0.0.1:1', sinks }),
      ),
    types: async (...options) => {
      const cli = startCli(['types', ...options], { cwd: directory });
      return { code: await cli.code, stdout: cli.stdout(), stderr: cli.stderr() };
    },
    files: async () =>
      (await readdir(join(directory, 'types'), { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
        .toSorted(),
  };
}

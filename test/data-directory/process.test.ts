// The real process: what it makes is private under any umask, and a data directory that cannot be ends it at once.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { scratchDirectory } from '../log/stream.ts';
import { waitFor } from '../support/wait.ts';

const main = resolve(import.meta.dirname, '../../src/main.ts');

/** No server listens there: the service runs, and says so. */
const CONFIGURATION = `
databases:
  - { name: shop, hostname: 127.0.0.1, port: 9, database: d, username: u, password: p, tls: { mode: disable },
      slot: { name: tailrace }, publication: { name: tailrace } }
sinks:
  - { name: users, database: shop, source: { include_tables: [public.users] }, destination: { type: sequin_stream } }
api: { listen: "127.0.0.1:0" }
metrics: { listen: "off" }
`;

function startProcess(umask: string, dataDir: string): { child: ChildProcess; output: () => string } {
  const directory = scratchDirectory();
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'tailrace.yaml'), CONFIGURATION);
  const command = `umask ${umask}; exec "$0" "$@"`;
  const child = spawn('sh', ['-c', command, process.execPath, main, 'run', '--data-dir', dataDir], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, output: () => output };
}

test.each(['0', '0777'])('under umask %s everything in the data directory is private', async (umask) => {
  const dataDir = join(scratchDirectory(), 'data');
  const { child } = startProcess(umask, dataDir);
  await waitFor(
    () => existsSync(join(dataDir, 'ledger/shop')) || child.exitCode !== null,
    'the directory of the ledgers',
  );
  // What is renamed into its place may be gone meanwhile.
  const modes = ['', ...readdirSync(dataDir, { recursive: true, encoding: 'utf8' })].flatMap((name) => {
    const stats = lstatSync(join(dataDir, name), { throwIfNoEntry: false });
    if (stats === undefined) return [];
    return [[name, (stats.mode & 0o777).toString(8), stats.isDirectory() ? '700' : '600']];
  });
  expect(modes.map(([name]) => name)).toEqual(
    expect.arrayContaining(['lock.db', 'tailrace.db', 'tailrace.db-wal']),
  );
  expect(modes.filter(([, mode, wanted]) => mode !== wanted)).toEqual([]);
  child.kill('SIGTERM');
  await once(child, 'exit');
});

test('a data directory where nothing can be made ends it at once, with a way out', async () => {
  const { child, output } = startProcess('022', '/proc/x');
  const [code] = (await once(child, 'close')) as [number];
  expect(code).toBe(1);
  expect(output()).toMatch(
    /the data directory \/proc\/x cannot be made: .* — .*name another directory with --data-dir/,
  );
});

// Packs what npm would publish, installs it in an empty folder without development dependencies, and runs it from there: `npm run test:package`.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const root = resolve(import.meta.dirname, '..');
const work = mkdtempSync(join(tmpdir(), 'tailrace-package-'));
const prefix = join(work, 'prefix');
const folder = join(work, 'empty');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const tailrace = join(prefix, 'bin', 'tailrace');
const PACKED = [
  'LICENSE',
  'README.md',
  'CHANGELOG.md',
  'dist/main.js',
  'dist/THIRD-PARTY-NOTICES.txt',
  'docs/getting-started.md',
  'deploy/tailrace.yaml',
  'schema/tailrace.schema.json',
];
/** Of every type that there is, so that what each of them imports is imported. Nobody answers at these addresses. */
const CONFIGURATION = `
databases:
  - { name: shop, hostname: 127.0.0.1, port: 1, database: shop, username: u, password: p, slot: { name: s }, publication: { name: p } }
sinks:
  - { name: a, database: shop, destination: { type: sqs, queue_name: q.fifo, region: us-east-1, emulator_base_url: 'http://127.0.0.1:1' } }
  - { name: b, database: shop, destination: { type: sns, topic_name: t.fifo, region: us-east-1, emulator_base_url: 'http://127.0.0.1:1' } }
  - { name: c, database: shop, destination: { type: webhook, url: 'http://127.0.0.1:1/' } }
  - { name: d, database: shop, destination: { type: stream } }
api: { listen: '127.0.0.1:0' }
metrics: { listen: off }
`;

function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Error(`the package does not hold: ${what}`);
  console.log(`  ✓ ${what}`);
}

function pack(): void {
  execFileSync('npm', ['pack', '--pack-destination', work], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** By the commands of the page, into a place of our own. */
function install(): string {
  const [, commands] =
    /^```sh install\n([\s\S]*?)^```$/m.exec(readFileSync(join(root, 'docs/getting-started.md'), 'utf8')) ??
    [];
  const [, npx] = /`(npx [^`]+)`/.exec(readFileSync(join(root, 'docs/getting-started.md'), 'utf8')) ?? [];
  if (commands === undefined || npx === undefined) throw new Error('the page has no commands to install');
  // What runs this has installed the checkout, and `pack` has made the package.
  const lines = commands.split('\n').filter((line) => line !== 'npm ci' && line !== 'npm pack');
  const env = {
    ...process.env,
    PATH: `${join(prefix, 'bin')}:${process.env['PATH']}`,
    npm_config_prefix: prefix,
    npm_config_prefer_offline: 'true',
    npm_config_audit: 'false',
  };
  const printed = execFileSync('sh', ['-ec', [...lines, npx].join('\n')], {
    cwd: work,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  expectThat(
    printed.split('\n').filter((line) => line === version).length === 2,
    `npm install --global and npx run ${version}`,
  );
  return join(prefix, 'lib', 'node_modules', 'tailrace');
}

const run = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  spawnSync(tailrace, args, { cwd: folder, encoding: 'utf8', env: { ...process.env, ...env } });

/** Starts the service, waits until it listens, stops it; the exit code. */
async function startAndStop(): Promise<number | null> {
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: 'k',
    AWS_SECRET_ACCESS_KEY: 's',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const child = spawn(tailrace, ['run'], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit') as Promise<[number | null]>;
  let lines = '';
  for await (const line of createInterface({ input: child.stdout })) {
    lines += `${line}\n`;
    // SIGTERM only once: the second ends a service at once.
    if (line.includes('api listens')) child.kill('SIGTERM');
  }
  const [code] = await ended;
  if (code !== 0) console.error(lines);
  return code;
}

async function main(): Promise<void> {
  mkdirSync(folder);
  pack();
  const installed = install();
  for (const file of PACKED) expectThat(existsSync(join(installed, file)), `${file} is in it`);
  for (const folder of ['src', 'test', 'bench'])
    expectThat(!existsSync(join(installed, folder)), `${folder}/ is not`);
  for (const name of ['fauxqs', 'fastify'])
    expectThat(!existsSync(join(installed, 'node_modules', name)), `${name} did not come with it`);

  writeFileSync(join(folder, 'faulty.yaml'), 'sinks: 1\n');
  writeFileSync(join(folder, 'tailrace.yaml'), CONFIGURATION);
  expectThat(run(['check', '-c', 'faulty.yaml']).status === 2, 'check ends with 2 for a faulty file');
  const checked = run(['check', '-c', 'tailrace.yaml']);
  expectThat(
    checked.status === 0,
    `check ends with 0 for a right one${checked.status === 0 ? '' : `: ${checked.stderr}`}`,
  );
  const help = run(['demo', '--help']);
  expectThat(help.status === 0 && help.stdout.includes('--rows'), 'demo --help helps');
  const demo = run(['demo', '--rows', '1']);
  expectThat(demo.status === 1 && demo.stderr.includes('npm run demo'), 'demo says where it can run');
  expectThat((await startAndStop()) === 0, 'run starts every type of sink, listens, and stops');
}

try {
  await main();
} finally {
  rmSync(work, { recursive: true, force: true });
}

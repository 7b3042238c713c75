import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { aborted } from '../../src/core/abort.ts';
import { TailraceError } from '../../src/core/errors.ts';
import type { ServiceSettings } from '../../src/pipeline/settings.ts';
import { stoppingLine, undeliveredLines } from '../../src/cli/stopping.ts';
import { fakeService, startCli } from '../support/cli.ts';
import { serviceStatus, sinkStatus } from '../support/status.ts';
import { waitFor } from '../support/wait.ts';

const CONFIG = `
databases:
  - name: shop
    hostname: 127.0.0.1
    database: shop
    password: s3cret
    slot: { name: tailrace }
    publication: { name: tailrace }
sinks:
  - name: users
    database: shop
    source: { include_tables: ["public.users"] }
    destination: { type: sqs, queue_name: users.fifo, region: eu-west-1 }
`;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  await writeFile(join(directory, 'tailrace.yaml'), CONFIG);
  await writeFile(
    join(directory, 'faulty.yaml'),
    CONFIG.replace('hostname', 'hostnam').replace('sqs', 'sqz'),
  );
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test('run starts the service with the configuration and the data directory, and an interrupt stops it with 0', async () => {
  const service = fakeService();
  let started: ServiceSettings | undefined;
  const cli = startCli(['run', '-c', 'tailrace.yaml', '--data-dir', 'data'], {
    cwd: directory,
    startService: async (settings) => {
      started = settings;
      return service;
    },
  });
  const settings = await waitFor(() => started, 'the service to start');
  expect(settings.dataDir).toBe(join(directory, 'data'));
  expect(settings.databases[0]?.name).toBe('shop');
  cli.interrupt();
  expect(await cli.code).toBe(0);
  expect(service.stops()).toBe(1);
  expect(cli.exits).toEqual([]);
  expect(cli.stdout()).not.toContain('s3cret');
});

test('an interrupt that comes while the service starts stops it as soon as it has started', async () => {
  const service = fakeService();
  let finishStart: (() => void) | undefined;
  const cli = startCli(['run'], {
    cwd: directory,
    startService: async () => {
      await new Promise<void>((done) => (finishStart = done));
      return service;
    },
  });
  const finish = await waitFor(() => finishStart, 'the start');
  cli.interrupt();
  expect(service.stops()).toBe(0);
  finish();
  expect(await cli.code).toBe(0);
  expect(service.stops()).toBe(1);
});

test('a start hears of an interrupt at once, and what it has ended with is the code', async () => {
  const service = fakeService();
  let isStarting = false;
  const cli = startCli(['run'], {
    cwd: directory,
    startService: async (_settings, { signal }) => {
      isStarting = true;
      await aborted(signal!);
      service.fail();
      return service;
    },
  });
  await waitFor(() => isStarting, 'the start');
  cli.interrupt();
  expect(await cli.code).toBe(1);
});

test('a service that ends by itself because of a fault ends the command with 1', async () => {
  const service = fakeService();
  const cli = startCli(['run'], { cwd: directory, startService: async () => service });
  service.fail();
  expect(await cli.code).toBe(1);
});

test('a second interrupt ends the process at once; one that npm repeats at the same moment does not', async () => {
  const service = { ...fakeService(), stop: () => new Promise<void>(() => undefined) };
  let started = false;
  const cli = startCli(['run'], {
    cwd: directory,
    startService: async () => {
      started = true;
      return service;
    },
  });
  await waitFor(() => started, 'the service to start');
  cli.interrupt();
  cli.interrupt();
  expect(cli.exits).toEqual([]);
  await waitFor(() => {
    cli.interrupt();
    return cli.exits.length > 0;
  }, 'a later interrupt to end the process');
  expect(cli.exits[0]).toBe(1);
  expect(cli.stdout()).toContain('ended at once: what was in flight');
  service.fail();
  await cli.code;
});

test('an interrupt says at once what is waited for and until when; the end says what stays undelivered (C252)', async () => {
  let sinks = [
    sinkStatus({ name: 'busy', inFlight: 7 }),
    sinkStatus({ name: 'idle', inFlight: 0, buffered: 0, parked: 0, lagBytes: 0 }),
  ];
  const service = fakeService(() => serviceStatus({ sinks }));
  let finishStop: (() => void) | undefined;
  const stop = async (): Promise<void> => {
    await new Promise<void>((done) => (finishStop = done));
    sinks = [
      sinkStatus({ name: 'busy', inFlight: 0, buffered: 2, parked: 1, lagBytes: 2048 }),
      sinkStatus({ name: 'idle', inFlight: 0, buffered: 0, parked: 0, lagBytes: 0 }),
    ];
    await service.stop();
  };
  let started = false;
  const cli = startCli(['run'], {
    cwd: directory,
    startService: async () => {
      started = true;
      return { ...service, stop };
    },
  });
  await waitFor(() => started, 'the service to start');
  await Promise.resolve();
  cli.interrupt();
  expect(cli.stdout()).toMatch(
    /stopping: waits for messages in flight \(shop\/busy 7\), until \d\d:\d\d:\d\d at the latest; a second Ctrl-C ends at once/,
  );
  const finish = await waitFor(() => finishStop, 'the stop');
  finish();
  expect(await cli.code).toBe(0);
  expect(cli.stdout()).toContain(
    'sink shop/busy stays behind: 2.0 kB of the log undelivered, 3 messages of it read already; delivered at the next start',
  );
  expect(cli.stdout()).not.toContain('shop/idle stays');
});

test('what stays undelivered is said of a sink that is paused as well, and of no sink that has nothing', () => {
  const none = { inFlight: 0, buffered: 0, parked: 0, lagBytes: 0 };
  expect(undeliveredLines(serviceStatus({ sinks: [sinkStatus(none)] }))).toEqual([]);
  expect(
    undeliveredLines(serviceStatus({ sinks: [sinkStatus({ ...none, lagBytes: 1024, state: 'disabled' })] })),
  ).toEqual([]);
  expect(
    undeliveredLines(serviceStatus({ sinks: [sinkStatus({ ...none, lagBytes: 1024, state: 'paused' })] })),
  ).toEqual(['sink shop/users stays behind: 1.0 kB of the log undelivered; delivered once it is resumed']);
});

test('an interrupt while the service starts says that the start is broken off', () => {
  const until = new Date(2026, 0, 2, 3, 4, 5);
  expect(stoppingLine(undefined, until)).toMatch(
    /breaks off the start, and closes what is open, until 03:04:05/,
  );
  const idle = serviceStatus({ sinks: [sinkStatus({ inFlight: 0 })] });
  expect(stoppingLine(idle, until)).toMatch(/nothing is in flight/);
});

test.each([
  [{ NO_COLOR: '1' }, false],
  [{ TERM: 'dumb' }, false],
  [{ TERM: 'xterm' }, true],
  [{ NO_COLOR: '1', FORCE_COLOR: '1' }, true],
])('the lines of run on a terminal follow %o', async (env, colours) => {
  const service = fakeService();
  const cli = startCli(['run'], {
    cwd: directory,
    env,
    terminal: { isTTY: true },
    startService: async () => service,
  });
  service.fail();
  await cli.code;
  expect(cli.stdout()).toContain('tailrace starts');
  expect(cli.stdout().includes('\x1b')).toBe(colours);
});

test('a start that fails ends with 1 and names the problem and the cure', async () => {
  const cli = startCli(['run'], {
    cwd: directory,
    startService: () =>
      Promise.reject(new TailraceError('slot is gone', { code: 'X', kind: 'fatal', hint: 'make one' })),
  });
  expect(await cli.code).toBe(1);
  expect(cli.stderr()).toContain('error: slot is gone — make one');
});

test('run and check refuse a faulty configuration with 2 and all faults, each with its place', async () => {
  for (const command of ['run', 'check']) {
    const cli = startCli([command, '-c', 'faulty.yaml'], { cwd: directory });
    expect(await cli.code).toBe(2);
    const lines = cli.stderr().trimEnd().split('\n');
    expect(lines.length).toBeGreaterThanOrEqual(2);
    for (const line of lines) expect(line).toMatch(/faulty\.yaml:\d+:\d+ /);
  }
});

test('check says ok and what it understood, and never a secret', async () => {
  const cli = startCli(['check'], { cwd: directory });
  expect(await cli.code).toBe(0);
  expect(cli.stdout()).toMatch(/^ok {2}/);
  expect(cli.stdout()).toContain('sink users: shop → sqs, public.users');
  const json = startCli(['check', '--json'], { cwd: directory });
  expect(await json.code).toBe(0);
  expect(JSON.parse(json.stdout())).toMatchObject({ ok: true, sinks: [{ name: 'users', type: 'sqs' }] });
  expect(cli.stdout() + json.stdout()).not.toContain('s3cret');
});

test.each(['check', 'doctor', 'status', 'pause users', 'dead-letters list'])(
  '%s --json lists the faults of a configuration as data',
  async (command) => {
    const argv = [...command.split(' '), '-c', 'faulty.yaml', '--json'];
    const cli = startCli(argv, { cwd: directory });
    expect(await cli.code).toBe(2);
    expect(cli.stderr()).toBe('');
    const { ok, faults } = JSON.parse(cli.stdout()) as { ok: boolean; faults: { line: number }[] };
    expect(ok).toBe(false);
    expect(faults.every((fault) => fault.line > 0)).toBe(true);
    expect(faults.length).toBeGreaterThanOrEqual(2);
  },
);

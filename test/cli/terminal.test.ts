// What comes from rows, servers and files reaches no terminal raw, through whichever command it comes.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters, styleText } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { TailraceError } from '../../src/core/errors.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { startTestApi } from '../support/api.ts';
import { startCli } from '../support/cli.ts';
import { testControl } from '../support/control.ts';
import { letterAt, SINK } from '../support/letters.ts';
import { databaseStatus, gap, serviceStatus, sinkStatus } from '../support/status.ts';

/** Clears the screen, sets a title, hides, rings, deletes, turns directions, makes lines of its own. */
const HOSTILE =
  'x\u001b[2J\u001b]0;owned\u0007\u009b8m\u007f\r\u0000\u202eevil\u2066\u2028\u0085\u200f\n✓ sink faked\tend';
const SHOWN = String.raw`x\u001b[2J\u001b]0;owned\u0007\u009b8m\u007f\r\u0000\u202eevil\u2066\u2028\u0085\u200f`;
/** Everything that a terminal obeys, but line ends and tabs. */
const OBEYED = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u;

/** Of `styleText`, as far as the commands use it. */
const COLOURS = new RegExp(String.raw`\u001b\[(?:[1-9]|[23]\d|90)m`, 'g');

/** Runs a command at a terminal and elsewhere; what it wrote, without the colours that are ours. */
async function runBoth(argv: readonly string[], cwd?: string): Promise<string[]> {
  const outputs: string[] = [];
  for (const isTTY of [true, false]) {
    let written = '';
    const output = { isTTY, write: (text: string) => (written += text) };
    await startCli(argv, { stdout: output, stderr: output, ...(cwd && { cwd }) }).code;
    const plain = isTTY ? written.replaceAll(COLOURS, '') : written;
    expect(plain).not.toMatch(OBEYED);
    outputs.push(plain);
  }
  return outputs;
}

/** Nothing that came from outside stands at the beginning of a line. */
const isFaked = (text: string): boolean => /^\s{0,2}✓ sink faked/m.test(text);

async function serve(): Promise<string> {
  const sinks = [
    sinkStatus({
      health: 'degraded',
      reason: HOSTILE,
      cure: HOSTILE,
      blockedGroups: [`public.${HOSTILE}:7`],
      routes: [{ id: HOSTILE, health: 'degraded', reason: HOSTILE } as never],
    }),
    sinkStatus({ name: HOSTILE }),
  ];
  const control = testControl({
    sinks,
    answer: () => ({ rewinds: 2, from: HOSTILE, withdrawnDeadLetters: 1 }),
  });
  control.store.sinks.started(SINK, [], { configured: 'active', now: new Date() });
  const payload = Buffer.from(JSON.stringify({ [HOSTILE]: HOSTILE }, undefined, 2));
  control.store.deadLetters.add(
    letterAt(1, { table: HOSTILE, reason: HOSTILE, code: HOSTILE, payload, payloadBytes: payload.length }),
    new Date(),
  );
  const database = databaseStatus({ warnings: [HOSTILE], gaps: [gap({ reason: HOSTILE })] });
  const status = () => serviceStatus({ dataDir: `/data/${HOSTILE}`, databases: [database], sinks });
  return (await startTestApi({ control, status })).url;
}

test('names, reasons and payloads are shown escaped by every command that asks a service', async () => {
  const url = await serve();
  for (const argv of [
    ['status'],
    ['dead-letters', 'list', 'users'],
    ['dead-letters', 'show', 'users', '1'],
    ['rewind', 'users', '--to', '0/10'],
    ['pause', `users${HOSTILE}`],
  ]) {
    for (const text of await runBoth([...argv, '--url', url])) {
      expect(isFaked(text)).toBe(false);
      expect(text).toContain(String.raw`x\u001b[2J`);
    }
  }
  // Columns are as wide as what is shown.
  const [list] = await runBoth(['dead-letters', 'list', 'users', '--url', url]);
  const [head, row] = list!.split('\n');
  expect(row!.slice(head!.indexOf('ATTEMPTS'))).toMatch(/^1 /);
});

test('JSON is the same document, and safe to look at', async () => {
  const url = await serve();
  for (const text of await runBoth(['dead-letters', 'list', 'users', '--json', '--url', url])) {
    expect(JSON.parse(text)).toMatchObject({ dead_letters: [{ reason: HOSTILE, code: HOSTILE }] });
  }
  for (const text of await runBoth(['status', '--json', '--url', url])) {
    expect(JSON.parse(text)).toMatchObject({ dataDir: `/data/${HOSTILE}` });
  }
});

function configuration(text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'tailrace-terminal-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'tailrace.yaml'), text);
  return directory;
}

const yaml = (table: string, endpoint = 'http://127.0.0.1:9'): string => `
databases:
  - { name: shop, hostname: 127.0.0.1, port: 9, database: ${JSON.stringify(HOSTILE)}, username: u, password: p, tls: { mode: disable },
      slot: { name: tailrace }, publication: { name: tailrace } }
sinks:
  - name: users
    database: shop
    source: { include_tables: [${JSON.stringify(table)}] }
    destination: { type: sqs, queue_name: q, region: us-east-1, access_key_id: a, secret_access_key: b,
      emulator_base_url: "${endpoint}" }
api: { listen: "off" }
metrics: { listen: "off" }
`;

test('what a configuration holds is shown escaped, in its faults too', async () => {
  const good = configuration(yaml(`public."${HOSTILE.replaceAll('\u0000', '')}"`));
  for (const text of await runBoth(['check'], good)) expect(isFaked(text)).toBe(false);
  const bad = configuration(`${yaml('public.users')}\n${JSON.stringify(HOSTILE)}: 1\n`);
  for (const text of await runBoth(['check'], bad)) {
    expect(text).toContain(SHOWN.slice(0, 20));
    expect(isFaked(text)).toBe(false);
  }
});

test.each([
  ['its words are shown escaped', 'AccessDenied', true],
  ['what it says in place of a code is not shown at all', HOSTILE, false],
])('of what an endpoint answers, %s', async (_, code, isShown) => {
  const server = createServer((_request, response) => {
    response.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(JSON.stringify({ __type: `com.amazonaws.sqs#${code}`, message: HOSTILE }));
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const directory = configuration(yaml('public.users', `http://127.0.0.1:${port}`));
  for (const text of await runBoth(['doctor'], directory)) {
    expect(text.includes(String.raw`\u001b[2J`)).toBe(isShown);
    expect(isFaked(text)).toBe(false);
  }
});

function logged(format: 'console' | 'json' | 'datadog_json'): string {
  let written = '';
  const destination = { isTTY: true, write: (text: string) => (written += text) };
  const logger = createLogger({ level: 'info', format, destination });
  const err = new TailraceError(HOSTILE, { code: 'X', kind: 'fatal', hint: HOSTILE });
  logger.error({ err, [HOSTILE]: HOSTILE, tables: [HOSTILE] }, HOSTILE);
  return written;
}

test('a log line on a terminal shows it escaped, in one line; the colours stay', () => {
  const line = logged('console');
  expect(line.split('\n')).toHaveLength(2);
  expect(line).toContain(styleText('red', 'ERROR', { validateStream: false }));
  expect(stripVTControlCharacters(line)).toContain(String.raw`x\u001b[2J`);
  expect(stripVTControlCharacters(line)).not.toMatch(OBEYED);
});

test.each(['json', 'datadog_json'] as const)(
  'a log line as %s is the same document, and safe to look at',
  (format) => {
    const line = logged(format);
    expect(line).not.toMatch(OBEYED);
    expect(JSON.parse(line)).toMatchObject({ [HOSTILE]: HOSTILE });
  },
);

test('nothing is written past that border', () => {
  const source = join(import.meta.dirname, '../../src');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const direct = files.filter((file) =>
    /\bconsole\.|process\.std(?:out|err)|process\[|styleText\(/.test(
      readFileSync(join(source, file), 'utf8'),
    ),
  );
  // Where the process' own outputs are handed to the commands, which get them back as outputs for terminals (`runCli`).
  expect(direct.sort()).toEqual(['main.ts', 'telemetry/terminal-text.ts']);
});

import { stripVTControlCharacters, styleText } from 'node:util';
import { expect, test } from 'vitest';
import { Accounting, type DemoChange } from '../../src/cli/demo/accounting.ts';
import { figuresOf, LatencySample, partsOf, type Figures } from '../../src/cli/demo/figures.ts';
import { afterwards } from '../../src/cli/demo/next-steps.ts';
import { roomFault } from '../../src/cli/demo/place.ts';
import { formatFigures, formatProgress, formatReceived, formatVerdict } from '../../src/cli/demo/report.ts';
import type { Painter } from '../../src/cli/ports.ts';

const plain: Painter = (_style, text) => text;
const coloured: Painter = (style, text) => styleText(style, text, { validateStream: false });

const figures = (title: string, overrides: Partial<Figures> = {}): Figures => ({
  title,
  rows: 123_456,
  perSecond: 98_765.4,
  queued: { p50: 0.4, p99: 12_345.6 },
  received: { p50: 1.84, p99: 123_456.78 },
  repeated: 0,
  outOfOrder: 0,
  lost: 0,
  unexpected: 0,
  ...overrides,
});

test('the figures fit a terminal of 60 columns, and what is wrong among them is red', () => {
  const measured = [figures('one at a time'), figures('as fast as it goes', { lost: 7, unexpected: 1 })];
  const lines = formatFigures(measured, 'lost', plain);
  expect(lines).toEqual([
    '                   one at a time  as fast as it goes',
    'rows                      123456              123456',
    'per second                 98765               98765',
    'in the queue  p50         < 1 ms              < 1 ms',
    '              p99         12.3 s              12.3 s',
    'received      p50         1.8 ms              1.8 ms',
    '              p99        2.1 min             2.1 min',
    'repeated                       0                   0',
    'out of order                   0                   0',
    'lost                           0                   7',
    'never committed                0                   1',
  ]);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(60);
  const red = formatFigures(measured, 'lost', (style, text) => (style === 'red' ? `[${text.trim()}]` : text));
  expect(red.filter((line) => line.includes('['))).toEqual([
    expect.stringMatching(/^lost .*\[7\]$/),
    expect.stringMatching(/^never committed .*\[1\]$/),
  ]);
});

test('what was never measured is a dash', () => {
  const nothing = figures('x', { perSecond: undefined, queued: undefined, received: undefined });
  const dashes = formatFigures([nothing], 'lost', plain).filter((line) => line.endsWith(' -'));
  expect(dashes).toHaveLength(5);
});

test('a message is cut where the terminal ends, colours not counted, and whole in a file', () => {
  const received = {
    change: { table: 'orders', id: 7, action: 'insert', version: 1 } as const,
    idempotencyKey: 'k',
    latencyMs: 1.25,
    queuedMs: 1,
    record: { id: 7, user_id: 100, status: 'returned', total: '499.99', version: 12 },
  };
  const whole = formatReceived(received, plain, undefined);
  expect(whole).toBe(
    '   1.3 ms  insert  public.orders  {"id":7,"user_id":100,"status":"returned","total":"499.99","version":12}',
  );
  for (const columns of [60, 80]) {
    const line = stripVTControlCharacters(formatReceived(received, coloured, columns));
    expect([line.length, line.at(-1)]).toEqual([columns, '…']);
  }
  for (const columns of [200, 0]) expect(formatReceived(received, plain, columns)).toBe(whole);
});

test('progress fits 60 columns as long as a person looks', () => {
  const verdict = {
    committed: 12_345,
    received: 12_345,
    outstanding: 3,
    duplicates: 0,
    inversions: 0,
    unexpected: 0,
  };
  expect(formatProgress(verdict, undefined)).toBe('— 12345 committed, 12345 received, 3 on the way');
  expect(formatProgress(verdict, { p50: 1, p99: 2 })).toContain('; p50 1.0 ms, p99 2.0 ms');
});

test('a change on its way is missing at the end, and no fault when somebody interrupted', () => {
  const change: DemoChange = { table: 'users', id: 1, action: 'insert', version: 1 };
  const accounting = new Accounting();
  accounting.expect([change]);
  expect(formatVerdict(accounting.verdict(), true, plain)).toBe('exactly once: no; in order per row: yes');
  expect(formatVerdict(accounting.verdict(), false, plain)).toBe('exactly once: yes; in order per row: yes');
});

test('each piece of work has its own figures', () => {
  const change = (version: number): DemoChange => ({ table: 'users', id: 1, action: 'update', version });
  const accounting = new Accounting();
  accounting.expect([change(1), change(2)]);
  accounting.receive(change(1), '1');
  accounting.receive(change(2), '2');
  accounting.receive(change(2), '2');
  const before = accounting.verdict();
  accounting.expect([change(3), change(4), change(5), change(6)]);
  accounting.receive(change(4), '4');
  accounting.receive(change(3), '3');
  accounting.receive(change(5), '5');
  const after = accounting.verdict();
  const work = { title: 'x', elapsedMs: 2_000, queued: undefined, received: undefined };
  expect(figuresOf({ ...work, before, after })).toMatchObject({
    rows: 4,
    perSecond: 2,
    repeated: 0,
    outOfOrder: 1,
    lost: 1,
    unexpected: 0,
  });
});

test('half of the rows are written one at a time, some seconds at most, the rest as fast as it goes', () => {
  expect([1, 2, 301, 1_000, 100_000].map((rows) => partsOf(rows))).toEqual([
    { steady: 1, bulk: 0 },
    { steady: 1, bulk: 1 },
    { steady: 151, bulk: 150 },
    { steady: 500, bulk: 500 },
    { steady: 500, bulk: 99_500 },
  ]);
});

test('a sample keeps its quantiles beyond what it can hold', () => {
  const sample = new LatencySample(Math.random);
  expect(sample.quantiles()).toBeUndefined();
  for (let i = 0; i < 300_000; i++) sample.add(i % 1000);
  const { p50, p99 } = sample.quantiles()!;
  expect(Math.abs(p50 - 500)).toBeLessThan(25);
  expect(Math.abs(p99 - 990)).toBeLessThan(5);
});

test('too little room is said before anything is made, with where to say otherwise', () => {
  expect(roomFault('/tmp/x', 1024 ** 3)).toBeUndefined();
  const fault = roomFault('/tmp/x', 12.9 * 1024 ** 2);
  expect(fault?.message).toBe('the demo needs 250 MiB of disk, and /tmp/x has 12');
  expect(fault?.hint).toContain('TMPDIR=');
});

test('what a shell would read otherwise is quoted in the commands to type', () => {
  const place = { kept: true, root: "/tmp/it's mine", configFile: '/tmp/plain/tailrace.yaml' };
  const lines = afterwards(place);
  expect(lines).toContainEqual(expect.stringMatching(/demo --keep '\/tmp\/it'\\''s mine'$/));
  expect(lines).toContainEqual(expect.stringMatching(/check -c \/tmp\/plain\/tailrace\.yaml$/));
});

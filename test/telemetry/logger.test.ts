import { stripVTControlCharacters } from 'node:util';
import { expect, test, vi } from 'vitest';
import { TailraceError } from '../../src/core/errors.ts';
import { createLogger, type LogFormat } from '../../src/telemetry/logger.ts';
import { RepeatedLines } from '../../src/telemetry/repeated-lines.ts';
import { createThreadLogger, relayLogLine } from '../../src/pipeline/threads/logger.ts';

function record(
  isTTY = false,
  format?: LogFormat,
): { lines: string[]; logger: ReturnType<typeof createLogger> } {
  const lines: string[] = [];
  const destination = { isTTY, write: (text: string) => lines.push(text) };
  return { lines, logger: createLogger({ level: 'info', destination, ...(format && { format }) }) };
}

test('a record is one JSON line with the level as a word and an ISO time', () => {
  const { lines, logger } = record();
  logger.info({ sink: 'users' }, 'started');
  logger.debug('not shown at this level');
  expect(lines).toHaveLength(1);
  expect(lines[0]!.endsWith('\n')).toBe(true);
  const { time, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
  expect(rest).toEqual({ level: 'info', sink: 'users', msg: 'started' });
  expect(new Date(String(time)).toISOString()).toBe(time);
});

test('secrets do not reach the log, however deep they stand', () => {
  const { lines, logger } = record();
  logger.info(
    {
      password: 's3cret',
      database: { password: 's3cret', tls: { key: 's3cret' } },
      settings: { api: { tokens: ['s3cret'] }, aws: { credentials: { secretAccessKey: 's3cret' } } },
    },
    'configuration',
  );
  logger.error({ err: new Error('connect postgresql://app:s3cret@db/shop failed') }, 'no connection');
  expect(lines.join('')).not.toContain('s3cret');
  expect(lines[1]).toContain('postgresql://app:…@db/shop');
});

test("an error's detail, where Postgres quotes row values, does not reach the log; code, hint and cause do", () => {
  const { lines, logger } = record();
  const cause = Object.assign(new Error('duplicate key'), {
    code: '23505',
    detail: 'Key (email)=(alice@example.com) already exists.',
    where: "COPY users, line 1: 'alice@example.com'",
  });
  const err = new TailraceError('cannot write', { code: 'WRITE', kind: 'fatal', hint: 'look', cause });
  logger.error({ err }, 'failed');
  expect(lines[0]).not.toContain('alice');
  expect(JSON.parse(lines[0]!)).toMatchObject({
    err: { code: 'WRITE', hint: 'look', message: 'cannot write', cause: { code: '23505' } },
  });
});

test('on a terminal a record is one short line: level, message, fields, and of an error message and cure', () => {
  const { lines, logger } = record(true);
  const err = new TailraceError('slot "a" is gone', { code: 'SLOT', kind: 'fatal', hint: 'make\n it' });
  logger.warn({ database: 'shop', bytes: 3, err }, 'stopped');
  expect(stripVTControlCharacters(lines[0]!)).toMatch(
    /^\d\d:\d\d:\d\d WARN {2}stopped database=shop bytes=3 err=slot "a" is gone — make it\n$/,
  );
});

test('the form of the lines may be chosen, wherever they go', () => {
  const people = record(false, 'console');
  people.logger.warn({ database: 'shop' }, 'stopped');
  expect(people.lines[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z WARN {2}stopped database=shop\n$/);
  const machines = record(true, 'json');
  machines.logger.warn('stopped');
  expect(JSON.parse(machines.lines[0]!)).toMatchObject({ level: 'warn', msg: 'stopped' });
});

test('for Datadog a record has the names that it looks for, and no secret either', () => {
  const { lines, logger } = record(true, 'datadog_json');
  logger.error({ password: 's3cret', sink: 'users' }, 'failed');
  const { timestamp, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
  expect(rest).toEqual({ level: 'error', password: '[secret]', sink: 'users', message: 'failed' });
  expect(new Date(String(timestamp)).toISOString()).toBe(timestamp);
});

test('an error says its message once, beside where it happened, and a page of HTML is cut', () => {
  const { lines, logger } = record();
  logger.error({ err: new Error(`refused: <html>${'x'.repeat(50_000)}</html>`) }, 'a request failed');
  expect(lines[0]!.match(/refused: <html>/g)).toHaveLength(1);
  expect(lines[0]!.length).toBeLessThan(5000);
  const { err } = JSON.parse(lines[0]!) as { err: { message: string; stack: string } };
  expect(err.message).toMatch(/… \(50022 characters\)$/);
  expect(err.stack).toMatch(/^ {4}at /);
});

test('an error of a thread comes without what may hold row values, and its message once', () => {
  const { lines, logger } = record();
  const thread = createThreadLogger('info', (line) => relayLogLine(logger, line));
  const error = Object.assign(new Error('broken at postgres://u:hunter2@h/d'), {
    detail: 'Key (id)=(s3cret)',
  });
  thread.error({ err: error }, 'sink failed');
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toMatch(/s3cret|hunter2/);
  expect(lines[0]!.match(/broken at/g)).toHaveLength(1);
});

test('what repeats is one line at once, and one a minute with how often it was', () => {
  vi.useFakeTimers();
  try {
    const { lines, logger } = record();
    const repeated = new RepeatedLines(logger);
    for (let i = 0; i < 10_000; i++) repeated.say({ level: 'error', message: 'dead letter', kind: 'a' });
    expect(lines).toHaveLength(1);
    vi.advanceTimersByTime(180_000);
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[1]!)).toMatchObject({ msg: 'dead letter', times: 9999 });
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test('neither message nor cure of an error that quotes a page of HTML is longer than a line can be', () => {
  const { lines, logger } = record();
  const page = `<html>${'x'.repeat(100_000)}`;
  const error = new TailraceError(page, {
    code: 'X',
    kind: 'retryable',
    hint: `postgres://a:s3cret@h ${page}`,
  });
  logger.error({ err: error }, 'failed');
  expect(lines[0]!.length).toBeLessThan(5000);
  expect(lines[0]).not.toContain('s3cret');
});

test('of more kinds than are remembered every line is counted, and nothing is kept for ever', () => {
  vi.useFakeTimers();
  try {
    const { lines, logger } = record();
    const repeated = new RepeatedLines(logger);
    for (let i = 0; i < 3000; i++) {
      for (let times = 0; times < 3; times++) repeated.say({ level: 'warn', message: `code ${i}` });
    }
    vi.advanceTimersByTime(180_000);
    const counted = lines.map((line) => (JSON.parse(line) as { times?: number }).times ?? 1);
    expect(counted.reduce((sum, times) => sum + times, 0)).toBe(9000);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test('what is said by the next occurrence is not waited for any more', () => {
  vi.useFakeTimers();
  try {
    const { lines, logger } = record();
    const repeated = new RepeatedLines(logger);
    repeated.say({ level: 'warn', message: 'again' });
    vi.advanceTimersByTime(10);
    repeated.say({ level: 'warn', message: 'again' });
    vi.advanceTimersByTime(59_990);
    repeated.say({ level: 'warn', message: 'again' });
    vi.advanceTimersByTime(120_000);
    expect(lines.map((line) => (JSON.parse(line) as { times?: number }).times)).toEqual([undefined, 2]);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

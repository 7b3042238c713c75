// Files that would keep a reader for ever, or have it read something else than what is written.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseConnectionUrl } from '../../src/config/connection-url.ts';
import { readFileFromDisk } from '../../src/config/file/disk-files.ts';
import { MAX_FILE_BYTES, readTextFile } from '../../src/config/file/file-access.ts';
import { substituteVariables } from '../../src/config/file/variables.ts';
import { loadSettings } from '../../src/config/load.ts';
import { redactUrlPasswords } from '../../src/telemetry/redaction.ts';
import { faultLines, faultsOf, loadFiles, loadText } from './load-config.ts';

const minimal = `databases: [{ name: a, hostname: localhost, database: d, slot_name: s, publication_name: p }]
sinks: [{ name: s, destination: { type: sqs, queue_name: q } }]
`;
const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('');

describe('what grows faster than its file', () => {
  test('5,000 aliases of an anchor that is used are resolved in one walk', async () => {
    const text = `x-a: &a { k: v }\n${minimal.replace('queue_name: q', `queue_name: q, x: [${'*a, '.repeat(5_000)}]`)}`;
    expect(await faultLines(loadText(text))).toEqual([expect.stringContaining('unknown key')]);
    const anchors = `x-a:\n${lines(5_000, (i) => `- &a${i} v\n`)}x-b:\n${lines(5_000, (i) => `- *a${i}\n`)}`;
    expect((await loadText(anchors + minimal)).settings.sinks).toHaveLength(1);
  });

  test('an alias means the last anchor of its name before it, and one of no anchor is a fault', async () => {
    const twice = `x-a: [&q one, &q two]\n${minimal.replace('queue_name: q', 'queue_name: *q')}`;
    const { settings } = await loadText(`${twice}x-b: &q three\n`);
    expect(settings.sinks[0]!.destination.config).toMatchObject({ queue_name: 'two' });
    expect(await faultLines(loadText(minimal.replace('queue_name: q', 'queue_name: *q')))).toContainEqual(
      expect.stringContaining('no anchor before this is called "q"'),
    );
  });

  test('5,000 keys of one mapping, known, unknown or repeated', async () => {
    expect(
      (await loadText(`${minimal}x-l:\n${lines(5_000, (i) => `  a${i}: 1\n`)}`)).settings.sinks,
    ).toHaveLength(1);
    expect(await faultsOf(loadText(`${minimal}log:\n${lines(5_000, (i) => `  a${i}: 1\n`)}`))).toHaveLength(
      5_000,
    );
    const repeated = await faultsOf(loadText(`${minimal}log:\n${lines(5_000, () => '  a: 1\n')}`));
    expect(repeated.length).toBeLessThan(200);
  });

  test.each([
    ['[', 20_000],
    ['{', 5_000],
    ['{ [', 5_000],
    ['- ', 5_000],
    ['? ', 100_000],
    ['{"":[', 5_000],
    ['&a [', 5_000],
    ['!!seq [', 5_000],
  ])('levels of %j are refused in our own words, at their line', async (level, count) => {
    const faults = await faultsOf(loadText(`${minimal}log:\n ${level.repeat(count)}a\n`));
    expect(faults).toMatchObject([
      { line: 4, message: expect.stringContaining('nested deeper than 64 levels') },
    ]);
  });

  test('faults of the syntax are told of the beginning only', async () => {
    const faults = await faultsOf(loadText(`${minimal}log: [${','.repeat(20_000)}`));
    expect(faults.length).toBeLessThan(50);
  });

  test('defaults of defaults, to the depth that somebody may mean', () => {
    const nested = (depth: number): string => `${'${A:-'.repeat(depth)}x${'}'.repeat(depth)}`;
    expect(substituteVariables(nested(20), {})).toMatchObject({ text: 'x', problems: [] });
    expect(substituteVariables(nested(5_000), {}).problems).toEqual([
      'variables are nested deeper than 20 levels',
    ]);
  });

  test('a connection URL or a message of 1 MB', () => {
    expect(parseConnectionUrl(`postgres://a:${'@'.repeat(500_000)}?/`)).toBeUndefined();
    for (const piece of ['a', 'a.', 'a://', 'a://u:', 'a://u:p:', '://:@']) {
      expect(redactUrlPasswords(piece.repeat(500_000 / piece.length))).not.toBe('');
    }
    expect(redactUrlPasswords('at postgres://app:p@ss:w@db:5432/shop')).toBe(
      'at postgres://app:…@db:5432/shop',
    );
    expect(redactUrlPasswords('http://localhost:8080/a, mail x@y')).toBe('http://localhost:8080/a, mail x@y');
  });

  test('5,000 variables that pg2sqs does not know', async () => {
    const env = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`PG2SQS_UNKNOWN_${i}`, 'x']));
    expect((await faultsOf(loadFiles({}, { env }))).length).toBeGreaterThan(5_000);
  });
});

describe('what is no text, or says something else than it seems', () => {
  test('a tag that would change what is read is a fault at its place', async () => {
    for (const tag of ['!!binary', '!foo']) {
      const text = minimal.replace('queue_name: q', `queue_name: ${tag} cXVldWU=`);
      expect(await faultLines(loadText(text))).toContainEqual(
        expect.stringMatching(/^2:\d+ sinks\[s\]\.destination\.queue_name the tag .* has no meaning here/),
      );
    }
    const { settings } = await loadText(minimal.replace('queue_name: q', 'queue_name: !!str 12'));
    expect(settings.sinks[0]!.destination.config).toMatchObject({ queue_name: '12' });
  });

  test.each([
    ['a list', 'databases:\n\t- name: a\n\t\thostname: h\nsinks:\n\t- name: s\n', 2],
    ['a mapping', 'log:\n  retention: 24h\nmetrics:\n\tlisten: off\n', 4],
    ['blanks before it', 'log:\n    \tretention: 24h\n    \tmax_bytes: 1GB\n', 2],
    ['brackets', 'log: {\n\tretention: 24h }\nmetrics: {\n\tlisten: off }\n', 2],
    ['the first line', '\tlog: {}\n', 1],
  ])('a tab that indents is one fault, at its line, with the cure: in %s', async (_, text, line) => {
    const faults = await faultsOf(loadText(text));
    expect(faults).toMatchObject([{ line, message: expect.stringContaining('with spaces only') as string }]);
    const mended = await loadText(
      minimal + text.replaceAll(/^[ \t]+/gm, (blanks) => blanks.replaceAll('\t', '  ')),
    ).catch((error: unknown) => error);
    expect(String(mended)).not.toContain('spaces only');
  });

  test('a tab that indents nothing is a tab', async () => {
    const text = `${minimal}log:\n  retention:\t24h\nx-a: |\n  a\n  \tb\n`;
    expect((await loadText(text)).settings.sinks).toHaveLength(1);
  });

  test('NUL is named with its line; a byte order mark and CRLF are nothing', async () => {
    expect(await faultLines(loadText(`${minimal}log: "\0"\n`))).toEqual([
      '3:1  there is a NUL character here: this is no text',
    ]);
    expect((await loadText(`\uFEFF${minimal.replaceAll('\n', '\r\n')}`)).settings.sinks).toHaveLength(1);
  });

  test('a connection URL that ends with a line break is refused by name', async () => {
    const text =
      'databases:\n- name: a\n  slot_name: s\n  publication_name: p\n  url: |\n    postgres://u:hunter2@h/d\nsinks: []\n';
    const faults = await faultLines(loadText(text));
    expect(faults).toContainEqual(
      expect.stringContaining('databases[a].url this begins or ends with a blank'),
    );
    expect(faults.join()).not.toContain('hunter2');
  });
});

describe('on the disk', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tailrace-files-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const problemOf = async (path: string): Promise<string> => {
    const [fault] = await faultsOf(loadSettings({ configFile: path, env: {}, cwd: directory }));
    return fault!.message;
  };
  const written = (content: string | Buffer): string => {
    const path = join(directory, 'tailrace.yaml');
    writeFileSync(path, content);
    return path;
  };

  test('a directory, a device and a pipe without a writer are refused', async () => {
    expect(await problemOf(directory)).toContain('is a directory');
    expect(await problemOf('/dev/zero')).toContain('is a device');
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const read = await readTextFile((path) => readFileFromDisk(path, 50), fifo);
    expect(read).toEqual({ missing: false, problem: `${fifo} is a pipe, and nothing comes of it` });
    symlinkSync('nowhere', join(directory, 'link'));
    expect(await problemOf('link')).toContain('there is no file');
  });

  test('a pipe with a writer is read to its end', async () => {
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const reading = loadSettings({ configFile: fifo, env: {}, cwd: directory });
    execFileSync('sh', ['-c', 'printf %s "$1" > "$2"', 'sh', minimal, fifo]);
    expect((await reading).settings.sinks).toHaveLength(1);
  });

  test('a file above the limit says so, wherever it comes from', async () => {
    const large = `${minimal}${'# comment\n'.repeat(MAX_FILE_BYTES / 10)}`;
    expect(await problemOf(written(large))).toContain('larger than 1 MiB');
    // Not only once all of it is in memory: a pipe may have no end.
    await expect(readFileFromDisk(written(large))).rejects.toThrow('larger than 1 MiB');
    expect(await faultLines(loadText(large))).toEqual([expect.stringContaining('larger than 1 MiB')]);
    const env = { CONFIG_FILE_YAML: Buffer.from(large).toString('base64') };
    expect(await faultsOf(loadFiles({}, { env }))).toMatchObject([
      { path: 'CONFIG_FILE_YAML', message: expect.stringContaining('larger than 1 MiB') },
    ]);
  });

  test('another encoding than UTF-8 is named, with the line', async () => {
    expect(await problemOf(written(Buffer.from(`\uFEFF${minimal}`, 'utf16le')))).toContain('UTF-16');
    expect(await problemOf(written(Buffer.from(`${minimal}# caf\u00e9\n`, 'latin1')))).toContain(
      'line 3 is not UTF-8',
    );
    expect(
      (await loadSettings({ configFile: written(`\uFEFF${minimal}`), env: {}, cwd: directory })).settings
        .sinks,
    ).toHaveLength(1);
  });
});

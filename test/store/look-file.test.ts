import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import type { GapDeclaration } from '../../src/core/gaps.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { LOOK_FILE, readLookFile, writeLookFile } from '../../src/store/look-file.ts';
import { scratchDirectory } from '../log/stream.ts';
import { look } from '../support/looks.ts';

const OPEN: GapDeclaration = {
  cause: 'member_lost',
  from: '0/10',
  reason: 'because',
  tables: [{ schema: 'public', table: 't1' }],
  halts: true,
  skips: false,
  ends: [{ when: 'table_published', oid: 1 }],
};

let directory: string;
beforeEach(() => {
  directory = scratchDirectory();
  mkdirSync(directory, { recursive: true });
});

test('a look is read back from its file as it was, with the gaps that were open and the salts', () => {
  const seen = look({
    walBefore: toLsn(0xffff_ffff_0000_0001n),
    xmin: 2n ** 40n,
    begun: 2n ** 40n + 5n,
    server: { ...look().server, timeline: 3, switches: [{ timeline: 1, switchLsn: toLsn(0x10n) }] },
  });
  const salts = [
    { epoch: 3, from: toLsn(7n), to: toLsn(9n), salt: 'later' },
    { epoch: 2, from: toLsn(1n), to: toLsn(8n), salt: 'salt' },
  ];
  writeLookFile(directory, { look: look(), open: [], salts: [] });
  writeLookFile(directory, { look: seen, open: [OPEN], salts });
  expect(readLookFile(directory)).toEqual({ look: seen, open: [OPEN], salts });
  expect(readdirSync(directory)).toEqual([LOOK_FILE]);
  expect(statSync(join(directory, LOOK_FILE)).mode & 0o777).toBe(0o600);
});

test('one that is not there tells nothing; one that is damaged, or of a later format, is named', () => {
  expect(readLookFile(directory)).toBeUndefined();
  for (const text of ['', '{"tailrace":"look","format":1', '{"tailrace":"look","format":1}', '{}', 'null']) {
    writeFileSync(join(directory, LOOK_FILE), text);
    const named = {
      code: 'LOOK_DAMAGED',
      message: expect.stringContaining(join(directory, LOOK_FILE)) as string,
    };
    expect(() => readLookFile(directory)).toThrow(expect.objectContaining(named));
  }
  writeFileSync(join(directory, LOOK_FILE), '{"tailrace":"look","format":2}');
  expect(() => readLookFile(directory)).toThrow(expect.objectContaining({ code: 'LOG_VERSION' }));
});

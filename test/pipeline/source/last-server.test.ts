import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { followAlone } from '../../../src/pipeline/source/last-server.ts';
import { RepeatedLines } from '../../../src/telemetry/repeated-lines.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { scratchDirectory } from '../../log/stream.ts';

/** What is logged where the file is this. */
function loggedOf(text: string | undefined): string {
  const directory = scratchDirectory();
  mkdirSync(directory, { recursive: true });
  if (text !== undefined) writeFileSync(join(directory, 'server'), text);
  let logged = '';
  const destination = { write: (line: string) => (logged += line) };
  const options = { directory, settings: { name: 'shop', slot: { name: 'tailrace' } } };
  const lines = new RepeatedLines(createLogger({ level: 'info', destination }));
  const tell = { state: {} as never, lines };
  // Every try at a connection asks again.
  for (let i = 0; i < 3; i++) expect(followAlone(options as never, undefined, tell)).toBeUndefined();
  expect(logged.split('\n').length).toBeLessThanOrEqual(2);
  return logged.replaceAll(directory, 'DIR');
}

test('what is known of the server is read, or said to be damaged with what that means', () => {
  expect(loggedOf(undefined)).toBe('');
  // Of another slot, from before there were checksums.
  expect(loggedOf('{"slot":"other","database":"shop"}')).toBe('');
  for (const text of ['', '{"slot":', '{"slot":"other","database":"shop","crc":1}', '7']) {
    expect(loggedOf(text)).toMatch(/DIR\/server cannot be read .*written anew then, and nothing is lost/);
  }
});

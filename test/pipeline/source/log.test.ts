// What is said of a change log that is not as it was left.
import { expect, test } from 'vitest';
import { sayWhatWasFound } from '../../../src/pipeline/source/log.ts';
import type { Recovered } from '../../../src/log/writer.ts';
import { RECOVERED } from '../../support/fake-log.ts';

function said(found: Partial<Recovered>): string[] {
  const lines: string[] = [];
  const warn = (fields: object, message: string): void =>
    void lines.push(`${message} ${JSON.stringify(fields)}`);
  sayWhatWasFound({ ...RECOVERED, ...found }, '/data/log/shop', { warn } as never);
  return lines;
}

test('of one that is as it was left nothing is said', () => {
  expect(said({})).toEqual([]);
});

test.each<[string, Partial<Recovered>, string]>([
  ['an unfinished end', { cutBytes: 7 }, 'its unfinished end is cut off and read again {"cutBytes":7'],
  ['damage', { damaged: true }, 'the change log in /data/log/shop is damaged'],
  ['a lost state file', { stateLost: true }, 'the state file of the change log is missing or empty'],
  [
    'a hole',
    { holes: [{ after: '/data/log/shop/1.log', before: '/data/log/shop/3.log', bytes: 64 }] },
    'check the disk, and restore what was there; a sink that is past it needs nothing of it; one that is behind it, or is rewound to before it, halts there {"after":"/data/log/shop/1.log","before":"/data/log/shop/3.log","missingBytes":64}',
  ],
])('%s is said', (_, found, words) => {
  expect(said(found)).toEqual([expect.stringContaining(words)]);
});

// What was found of a queue or a topic: it is looked for once for all, and what a look finds later than something else counts for nothing.
import { expect, test } from 'vitest';
import { RequestError } from '../../../src/sinks/aws/errors.ts';
import { Finding } from '../../../src/sinks/aws/finding.ts';

const { signal } = new AbortController();

/** A route whose looks a test answers, in the order in which they began. */
function lookedFor() {
  const looks: PromiseWithResolvers<string>[] = [];
  const finding = new Finding<string>({
    look: () => {
      const look = Promise.withResolvers<string>();
      looks.push(look);
      return look.promise;
    },
    createIfNotExists: false,
    toBeMade: '',
  });
  return { finding, looks };
}

const missing = (): RequestError => new RequestError({ code: 'QueueDoesNotExist', message: 'gone' });

test('what was found is known to all until it is forgotten, and then it is looked for again', async () => {
  const { finding, looks } = lookedFor();
  const both = [finding.find(signal), finding.find(signal)];
  expect([looks.length, finding.known]).toEqual([1, undefined]);
  looks[0]!.resolve('first');
  expect(await Promise.all(both)).toEqual(['first', 'first']);
  expect([finding.known, await finding.find(signal), looks.length]).toEqual(['first', 'first', 1]);
  finding.forget();
  expect(finding.known).toBeUndefined();
  const again = finding.find(signal);
  looks[1]!.resolve('second');
  expect([await again, finding.known]).toEqual(['second', 'second']);
});

test('what was forgotten while it was looked for is not known from that look', async () => {
  const { finding, looks } = lookedFor();
  const before = finding.find(signal);
  finding.forget();
  looks[0]!.resolve('gone since');
  expect(await before).toBe('gone since');
  expect(finding.known).toBeUndefined();
  const again = finding.find(signal);
  looks[1]!.resolve('made again');
  expect([await again, finding.known]).toEqual(['made again', 'made again']);
});

test('where a look fails the next one looks again, and one that fails late takes nothing from what was found since', async () => {
  const { finding, looks } = lookedFor();
  const failed = finding.find(signal);
  looks[0]!.reject(missing());
  await expect(failed).rejects.toThrow('gone');
  const late = finding.find(signal);
  finding.forget();
  const found = finding.find(signal);
  looks[2]!.resolve('found');
  expect(await found).toBe('found');
  looks[1]!.reject(missing());
  await expect(late).rejects.toThrow('gone');
  expect([await finding.find(signal), looks.length]).toEqual(['found', 3]);
});

test('what a check has found is known, and nobody looks for it', async () => {
  const { finding, looks } = lookedFor();
  const checked = finding.check(signal, { create: false });
  looks[0]!.resolve('checked');
  await checked;
  expect([finding.known, await finding.find(signal), looks.length]).toEqual(['checked', 'checked', 1]);
});

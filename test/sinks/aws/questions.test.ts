// Questions about queues and topics: few at once, and none for a moment where AWS says that they are too many.
import { expect, test } from 'vitest';
import { RequestError } from '../../../src/sinks/aws/errors.ts';
import { Questions, REFUSED_MS } from '../../../src/sinks/aws/questions.ts';

const refusal = (code: string): RequestError => new RequestError({ code, status: 400, message: code });

test('so many are asked at once, the others in their turn, also where some fail', async () => {
  const questions = new Questions(2);
  const [asked, answers] = [[] as number[], [] as PromiseWithResolvers<number>[]];
  const all = Array.from({ length: 5 }, (_, i) =>
    questions.ask(() => {
      asked.push(i);
      answers[i] = Promise.withResolvers();
      return answers[i].promise;
    }),
  );
  const results = Promise.allSettled(all);
  expect(asked).toEqual([0, 1]);
  answers[1]!.reject(refusal('NotFound'));
  await Promise.allSettled([all[1]]);
  expect(asked).toEqual([0, 1, 2]);
  for (const i of [0, 2, 3, 4]) {
    answers[i]!.resolve(i);
    await all[i];
  }
  expect((await results).map(({ status }) => status === 'fulfilled')).toEqual([
    true,
    false,
    true,
    true,
    true,
  ]);
});

test('when one is too many, nobody asks for a moment: all hear the same', async () => {
  let [nowMs, asked] = [0, 0];
  const questions = new Questions(2, () => nowMs);
  const tooMany = refusal('Throttling');
  const ask = (error?: RequestError): Promise<string> =>
    questions.ask(() => {
      asked++;
      return error === undefined ? Promise.resolve('answer') : Promise.reject(error);
    });
  await expect(ask(refusal('NotFound'))).rejects.toThrow('NotFound');
  expect(await ask()).toBe('answer');
  await expect(ask(tooMany)).rejects.toBe(tooMany);
  for (let i = 0; i < 3; i++) {
    nowMs += REFUSED_MS / 4;
    await expect(ask()).rejects.toBe(tooMany);
  }
  expect(asked).toBe(3);
  // Those that were not asked do not make it longer.
  nowMs += REFUSED_MS / 4;
  expect(await ask()).toBe('answer');
});

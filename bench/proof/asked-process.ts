// A process of the proofs that serves queues, and answers what it is asked.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Workbench } from '../workbench.ts';

export type AskedProcess<Question, Answer> = {
  /** Of the queues. */
  readonly url: string;
  readonly pid: number;
  ask(question: Question): Promise<Answer>;
};

/** `file`, beside this one, with these arguments. It ends with the bench. */
export async function startAsked<Question extends object, Answer extends { readonly id: number }>(
  bench: Workbench,
  file: string,
  args: readonly string[] = [],
): Promise<AskedProcess<Question, Answer>> {
  const child = fork(resolve(import.meta.dirname, file), args, { stdio: 'inherit' });
  bench.onEnd(async () => void child.kill('SIGKILL'));
  const [{ url }] = (await once(child, 'message')) as [{ url: string }];
  const waiting = new Map<number, PromiseWithResolvers<Answer>>();
  let count = 0;
  child.on('message', (answer: Answer) => {
    waiting.get(answer.id)?.resolve(answer);
    waiting.delete(answer.id);
  });
  child.once('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the queues ended with code ${code}`));
  });
  return {
    url,
    pid: child.pid!,
    ask: (question) => {
      const answer = Promise.withResolvers<Answer>();
      const id = ++count;
      waiting.set(id, answer);
      child.send({ ...question, id });
      return answer.promise;
    },
  };
}

// One listing of an account's topics for all that look for theirs; pages, refusals and the clock are the tests' own.
import { describe, expect, test } from 'vitest';
import { RequestError } from '../../../src/sinks/aws/errors.ts';
import { REFUSED_MS } from '../../../src/sinks/aws/questions.ts';
import {
  FRESH_MS,
  FRESH_MS_PER_PAGE,
  MAX_FRESH_MS,
  TopicNames,
  UNFINISHED_MS,
} from '../../../src/sinks/sns/topic-names.ts';

const arnOf = (name: string): string => `arn:aws:sns:us-east-1:123456789012:${name}`;
const refusal = (code: string): RequestError => new RequestError({ code, status: 400, message: code });

/** An account with these topics on its pages; `asked`: the pages that were asked for. */
function account(pages: string[][], { tellsMissing = true } = {}) {
  const asked: number[] = [];
  const world = { nowMs: 0, failing: undefined as Error | undefined };
  const names = new TopicNames({ tellsMissing, nowMs: () => world.nowMs });
  const look = async (name: string, again = false): Promise<string> => {
    const found = await names.find({ name, again }, async (token) => {
      const page = Number(token ?? 0);
      asked.push(page);
      const { failing } = world;
      await Promise.resolve();
      if (failing !== undefined) throw failing;
      return { arns: pages[page]!.map(arnOf), next: page + 1 < pages.length ? String(page + 1) : undefined };
    });
    return typeof found === 'string' ? found : found.arn;
  };
  return { names, look, asked, world };
}

describe('a listing', () => {
  test('is one for all who look, and each has its topic as soon as its page came', async () => {
    const { look, asked } = account([['a', 'b'], ['c'], ['d']]);
    const early = look('a').then(() => asked.length);
    expect(await Promise.all(['b', 'c', 'd', 'none'].map((name) => look(name)))).toEqual([
      arnOf('b'),
      arnOf('c'),
      arnOf('d'),
      'missing',
    ]);
    expect(asked).toEqual([0, 1, 2]);
    expect(await early).toBeLessThan(3);
  });

  test('finds a topic by its whole name', async () => {
    const { look } = account([['my-users', 'users-2']]);
    expect(await look('users')).toBe('missing');
  });

  test.each(['Throttling', 'InternalError', 'ETIMEDOUT'])(
    'that meets %s goes on at its page',
    async (code) => {
      const { look, asked, world } = account([['a'], ['b']]);
      await look('a');
      world.failing = refusal(code);
      await expect(look('b')).rejects.toBe(world.failing);
      expect(await look('a')).toBe(arnOf('a'));
      world.failing = undefined;
      world.nowMs += REFUSED_MS;
      expect(await look('b')).toBe(arnOf('b'));
      expect(asked).toEqual([0, 1, 1]);
    },
  );

  test('whose token is refused begins anew, and what it has found stays', async () => {
    const { look, asked, world } = account([['a'], ['b']]);
    await look('a');
    world.failing = refusal('InvalidParameter');
    await expect(look('b')).rejects.toThrow('InvalidParameter');
    world.failing = undefined;
    expect(await look('a')).toBe(arnOf('a'));
    expect(asked).toEqual([0, 1]);
    expect(await look('b')).toBe(arnOf('b'));
    expect(asked).toEqual([0, 1, 0, 1]);
  });

  test('with which nobody went on for long begins anew', async () => {
    const { look, asked, world } = account([['a'], ['b']]);
    await look('a');
    world.nowMs += UNFINISHED_MS + 1;
    expect(await look('b')).toBe(arnOf('b'));
    expect(asked).toEqual([0, 0, 1]);
  });

  test('that is throttled is not tried again at once, by whomever', async () => {
    const { look, asked, world } = account([['a']]);
    world.failing = refusal('Throttling');
    for (const name of ['a', 'b', 'c']) await expect(look(name)).rejects.toBe(world.failing);
    expect(asked).toEqual([0]);
    world.nowMs += REFUSED_MS;
    await expect(look('a')).rejects.toBe(world.failing);
    expect(asked).toEqual([0, 0]);
  });

  test('whose asker stops is gone on with by another', async () => {
    const { look, asked, world } = account([['a']]);
    world.failing = new Error('stopped');
    const first = look('a');
    const second = look('a');
    world.failing = undefined;
    await expect(first).rejects.toThrow('stopped');
    expect(await second).toBe(arnOf('a'));
    expect(asked).toEqual([0, 0]);
  });

  test('of more topics than are looked through says of none that it is missing', async () => {
    const { look } = account(Array.from({ length: 1001 }, (_, page) => [`t-${page}`]));
    expect(await look('t-1000')).toBe('unknown');
    expect(await look('t-999')).toBe(arnOf('t-999'));
  });
});

describe('what is missing', () => {
  test('is so for a second, and longer each time that it is missing still, up to half a minute', async () => {
    const { look, asked, world } = account([['a']]);
    await look('none');
    const waits: number[] = [];
    for (let i = 0; i < 7; i++) {
      const [began, listings] = [world.nowMs, asked.length];
      while (asked.length === listings) {
        world.nowMs += FRESH_MS / 2;
        expect(await look('none', true)).toBe('missing');
      }
      waits.push(world.nowMs - began);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, MAX_FRESH_MS, MAX_FRESH_MS]);
  });

  test('does not make others wait that are looked for the first time', async () => {
    const pages = [['a']];
    const { look, world } = account(pages);
    await look('none');
    for (let i = 0; i < 6; i++) {
      world.nowMs += MAX_FRESH_MS;
      await look('none', true);
    }
    pages[0]!.push('new');
    expect(await look('new')).toBe('missing');
    world.nowMs += FRESH_MS;
    expect(await look('new')).toBe(arnOf('new'));
  });

  test('waits for longer where there are many pages', async () => {
    const { look, asked, world } = account(Array.from({ length: 50 }, () => []));
    await look('none');
    world.nowMs += 50 * FRESH_MS_PER_PAGE - 1;
    await look('none');
    expect(asked).toHaveLength(50);
    world.nowMs += 1;
    await look('none');
    expect(asked).toHaveLength(100);
  });

  test('is looked for each time where only the topic of the configuration is', async () => {
    const { look, asked } = account([['a']], { tellsMissing: false });
    for (let i = 0; i < 3; i++) await look('none', true);
    expect(asked).toEqual([0, 0, 0]);
  });

  test('is what a later listing has not seen any more', async () => {
    const pages = [['a', 'b']];
    const { look, world } = account(pages);
    await look('none');
    pages[0] = ['b'];
    expect(await look('a')).toBe(arnOf('a'));
    world.nowMs += FRESH_MS;
    await look('none');
    expect([await look('a'), await look('b')]).toEqual(['missing', arnOf('b')]);
  });

  test('is there once it was made', async () => {
    const { look, names } = account([['a']]);
    expect(await look('new')).toBe('missing');
    names.learn('new', arnOf('new'));
    expect(await look('new')).toBe(arnOf('new'));
  });

  test('is there once it was made, also where that was while the topics were listed', async () => {
    const { look, names, asked } = account([['a'], ['b']]);
    await look('a');
    names.learn('new', arnOf('new'));
    await look('b');
    expect(await look('new')).toBe(arnOf('new'));
    expect(asked).toEqual([0, 1]);
  });

  test('is so for a second again once a listing has found what somebody looked for', async () => {
    const pages = [['a'], ['z']];
    const { look, asked, world } = account(pages);
    await look('none');
    for (let i = 0; i < 4; i++) {
      world.nowMs += MAX_FRESH_MS;
      await look('none', true);
    }
    pages[0]!.push('new');
    world.nowMs += MAX_FRESH_MS;
    expect(await look('new')).toBe(arnOf('new'));
    await look('none', true);
    const listings = asked.length;
    world.nowMs += FRESH_MS;
    await look('none', true);
    expect(asked.length).toBeGreaterThan(listings);
  });
});

test('no more names are kept than are looked through', async () => {
  const { look, names, asked } = account([['a']]);
  for (let i = 0; i <= 100_000; i++) names.learn(`t-${i}`, arnOf(`t-${i}`));
  expect([await look('t-100000'), await look('t-0')]).toEqual([arnOf('t-100000'), 'missing']);
  expect(asked).toEqual([0]);
});

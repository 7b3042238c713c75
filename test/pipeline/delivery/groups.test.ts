// The groups of unsettled messages: who waits for whom, and that no group is taken for another one.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  Groups,
  hashOf,
  otherPlace,
  type Grouped,
  type GroupPlace,
} from '../../../src/pipeline/delivery/groups.ts';

type Member = Grouped & { readonly id: number };

const names = fc.oneof(
  fc.constantFrom('', 'public.t:1', 'public.t:12', 'public.t:1:2', 'a'.repeat(10_000)),
  fc.integer({ min: 0, max: 3000 }).map((id) => `public.records:${id}`),
  fc.string(),
);

/** Joins a group, or takes out one of those that are in. */
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: names.map((name) => ({ name })) },
    { weight: 2, arbitrary: fc.nat().map((leaver) => ({ leaver })) },
  ),
  { maxLength: 600, size: 'max' },
);

describe('groups', () => {
  test('each message waits for the one before it in its own group, and for no other', () => {
    fc.assert(
      fc.property(steps, (taken) => {
        const groups = new Groups<Member>();
        const model = new Map<string, Member[]>();
        const links: { name: string; link: GroupPlace<Member> }[] = [];
        /** What each step brought, and should have brought. */
        const seen: unknown[] = [];
        const expected: unknown[] = [];
        for (const [id, step] of taken.entries()) {
          if ('name' in step) {
            const { name } = step;
            const message = { id, waitsOn: 0 };
            const link = otherPlace<Member>(message, name);
            groups.append(link);
            const members = model.get(name) ?? [];
            seen.push([message.waitsOn, link.previous?.message.id]);
            expected.push([members.length === 0 ? 0 : 1, members.at(-1)?.id]);
            model.set(name, [...members, message]);
            links.push({ name, link });
          } else if (links.length > 0) {
            const [{ name, link }] = links.splice(step.leaver % links.length, 1) as [(typeof links)[number]];
            const members = model.get(name)!;
            const at = members.indexOf(link.message);
            seen.push(groups.remove(link)?.id);
            expected.push(at === 0 ? members[1]?.id : undefined);
            members.splice(at, 1);
            if (members.length === 0) model.delete(name);
          }
        }
        for (const step of taken) {
          if (!('name' in step)) continue;
          seen.push(groups.get(step.name)?.members);
          expected.push(model.get(step.name)?.length);
        }
        expect(seen).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('twenty thousand groups at once are told apart, and take no place when they are empty', () => {
    const groups = new Groups<Member>();
    const all = Array.from({ length: 20_000 }, (_, id) => `public.records:${id}`);
    const links = all.map((name, id) => otherPlace<Member>({ id, waitsOn: 0 }, name));
    for (const link of links) groups.append(link);
    expect(all.every((name, id) => groups.get(name)?.message.id === id)).toBe(true);
    for (const link of links) groups.remove(link);
    expect(all.some((name) => groups.get(name) !== undefined)).toBe(false);
  });
});

test('the keys of a table are spread over all places of a hash table', () => {
  const places = new Map<number, number>();
  for (let id = 0; id < 4096; id++) {
    const place = hashOf(`public.records:${id}`) & 4095;
    places.set(place, (places.get(place) ?? 0) + 1);
  }
  // Thrown by chance, 4,096 keys take 63 % of 4,096 places, and no place gets more than a handful.
  expect(places.size).toBeGreaterThan(2300);
  expect(Math.max(...places.values())).toBeLessThan(15);
});

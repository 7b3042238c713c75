import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ZERO_LSN } from '../../../src/core/lsn.ts';
import { Available } from '../../../src/sinks/stream/available.ts';

test('whatever comes and goes, what is there is there once, by position', () => {
  const step = fc.record({
    id: fc.nat({ max: 9_999 }),
    kind: fc.constantFrom('set', 'set', 'take', 'first'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 3_000 }), (steps) => {
      const available = new Available<number>((index) => ({ epoch: 1, commitLsn: ZERO_LSN, index }));
      const model = new Set<number>();
      const faults: string[] = [];
      for (const { id, kind } of steps) {
        // Often later than all, sometimes between others.
        const index = id % 3 === 0 ? id : id + 100_000;
        if (kind === 'set') {
          available.set(`m${index}`, index);
          model.add(index);
        } else if (kind === 'take') {
          const expected = model.delete(index) ? index : undefined;
          if (available.take(`m${index}`) !== expected) faults.push(`took not ${expected}`);
        } else {
          const [first] = available;
          const expected = model.size === 0 ? undefined : Math.min(...model);
          if (first?.item !== expected) faults.push(`${first?.item} is first, not ${expected}`);
          if (first !== undefined) model.delete(available.take(first.id)!);
        }
      }
      expect(faults).toEqual([]);
      expect([...available].map(({ item }) => item)).toEqual([...model].sort((a, b) => a - b));
      expect(available.size).toBe(model.size);
    }),
    { numRuns: 50 },
  );
});

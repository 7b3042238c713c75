import { expect, test } from 'vitest';
import { KnownRoutes } from '../../../src/sinks/routing/known-routes.ts';

test('what was found of a route is kept, and let go of where it was used least recently of very many', () => {
  const made: string[] = [];
  const known = new KnownRoutes((id) => {
    made.push(id);
    return { id };
  });
  const first = known.get('first');
  expect(known.get('first')).toBe(first);
  known.get('second');
  known.get('first');
  for (let n = 0; n < 9_999; n++) known.get(`other ${n}`);
  expect(known.get('first')).toBe(first);
  made.length = 0;
  known.get('second');
  expect(made).toEqual(['second']);
});

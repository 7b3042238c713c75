import { expect, test } from 'vitest';
import { KnownRoutes } from '../../../src/sinks/routing/known-routes.ts';

test('what was found of a route is kept, and let go of where it was used least recently of very many', () => {
  const known = new KnownRoutes<{ id: string }>();
  const keep = (id: string): { id: string } => known.keep(id, { id });
  const first = keep('first');
  expect(known.get('first')).toBe(first);
  keep('second');
  known.get('first');
  for (let n = 0; n < 9_999; n++) keep(`other ${n}`);
  expect(known.get('first')).toBe(first);
  expect(known.get('second')).toBeUndefined();
  expect(known.get('other 0')).toEqual({ id: 'other 0' });
});

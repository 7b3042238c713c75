import { expect, test } from 'vitest';
import { formats } from '../../src/formats/registry.ts';

test('every format goes by its own name', () => {
  for (const [name, format] of Object.entries(formats)) expect(format.name).toBe(name);
});

import { expect, test } from 'vitest';
import { TailraceError } from '../../src/core/errors.ts';

test('what is retryable passes by itself, all else needs somebody, unless the error says otherwise', () => {
  const mendOf = (details: Omit<ConstructorParameters<typeof TailraceError>[1], 'code'>): string =>
    new TailraceError('x', { code: 'X', ...details }).mend;
  expect(mendOf({ kind: 'retryable' })).toBe('retry');
  expect(mendOf({ kind: 'fatal' })).toBe('operator');
  expect(mendOf({ kind: 'rejected' })).toBe('operator');
  expect(mendOf({ kind: 'fatal', mend: 'restart' })).toBe('restart');
});

import { expect, test } from 'vitest';
import { createTestDatabase } from './postgres.ts';

test('the test server decodes logically', async () => {
  const database = await createTestDatabase();
  const { rows } = await database.client.query<{ wal_level: string }>('show wal_level');
  expect(rows[0]?.wal_level).toBe('logical');
  await database.drop();
});

import { test } from 'vitest';
import { configText } from '../support/config.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { createWorkDirectory, startService } from '../support/service.ts';
test('scratch', async () => {
  const database = await createTestDatabase();
  const dir = createWorkDirectory();
  await database.client.query('create table users(id int primary key, n int)');
  const s = startService({ config: configText({ database, endpoint: 'http://127.0.0.1:1', sinks: [{ tables: ['users'] }] }), directory: dir.path });
  await Promise.race([s.ready(), new Promise((d) => setTimeout(d, 8000))]).catch((e) => console.log(String(e)));
  console.log(JSON.stringify(s.log, null, 1), s.printed.join('\n'));
  console.log(JSON.stringify(await s.health().catch(String), null, 1));
  console.log(await s.stop());
  await database.drop();
});

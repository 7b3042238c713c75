import { expect, test } from 'vitest';
import { ask, killServer, serverVersion, startPrimary, startStandby, waitForReplay } from './standby.ts';

test('a standby has what the killed primary wrote, and takes writes once promoted; the old one comes back behind it', async () => {
  const primary = await startPrimary();
  try {
    const standby = await startStandby(primary);
    try {
      await ask(primary, 'create table item as select 1 as id');
      await waitForReplay(primary, standby);
      await killServer(primary);
      await standby.promote();
      expect(await ask(standby, 'insert into item values (2) returning id')).toBe(2);
      expect(await ask(standby, 'select timeline_id from pg_control_checkpoint()')).toBeGreaterThan(0);
      await primary.start();
      expect(await ask(primary, 'select count(*)::int from item')).toBe(1);
      expect(await serverVersion(standby)).toBe(await serverVersion(primary));
    } finally {
      await standby.remove();
    }
  } finally {
    await primary.remove();
  }
}, 240_000);

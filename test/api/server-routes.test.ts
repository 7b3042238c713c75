import { expect, test } from 'vitest';
import { toLsn } from '../../src/core/lsn.ts';
import { startTestApi } from '../support/api.ts';
import { startCli } from '../support/cli.ts';
import { testControl, type TestControl } from '../support/control.ts';

async function serve(): Promise<{ control: TestControl; url: string }> {
  const control = testControl();
  const { url } = await startTestApi({ control });
  return { control, url };
}

const AT = new Date('2026-01-02T03:04:05Z');

/** A parting at 0/190, and a sink that had delivered two changes behind it, of which one is listed. */
function part({ store }: TestControl): void {
  const parting = { epoch: 1, lsn: toLsn(0x190n) };
  store.partings.add('shop', { ...parting, logEnd: toLsn(0x268n), timeline: 2, why: 'a promotion', at: AT });
  const orphan = {
    schema: 'public',
    table: 'users',
    action: 'insert',
    epoch: 0,
    commitLsn: toLsn(0x258n),
  } as const;
  store.partings.account({ database: 'shop', sink: 'users' }, { ...parting, discarded: 3, orphaned: 2 }, [
    { ...orphan, key: 'public.users:7', index: 4 },
  ]);
}

test('where histories parted is told with what that meant to each sink, and orphans by table, key and position', async () => {
  const { control, url } = await serve();
  part(control);
  const ask = async (path: string): Promise<unknown> =>
    (await fetch(`${url}/api/databases/shop/${path}`)).json();
  expect(await ask('partings')).toEqual({
    partings: [
      {
        epoch: 1,
        lsn: '0/190',
        log_end: '0/268',
        timeline: 2,
        reason: 'a promotion',
        at: AT.toISOString(),
        sinks: [{ sink: 'users', discarded: 3, orphaned: 2 }],
      },
    ],
  });
  const orphan = { id: 1, sink: 'users', table: 'public.users', action: 'insert', key: 'public.users:7' };
  expect(await ask('orphans')).toEqual({ orphans: [{ ...orphan, position: '0:0/258:4' }], next: null });
  expect(await ask('orphans?limit=1')).toMatchObject({ next: 1 });
  expect(await ask('orphans?after=1')).toEqual({ orphans: [], next: null });
  expect((await fetch(`${url}/api/databases/shop/orphans?after=x`)).status).toBe(400);
  expect((await fetch(`${url}/api/databases/nobody/partings`)).status).toBe(404);
});

test('status --orphans lists them, and says what is counted only', async () => {
  const { control, url } = await serve();
  const run = async (...options: string[]): Promise<string> => {
    const cli = startCli(['status', '--orphans', '--url', url, ...options]);
    expect(await cli.code).toBe(0);
    return cli.stdout();
  };
  expect(await run()).toContain('no history has parted');
  part(control);
  const text = await run();
  expect(text).toContain('database "shop": the histories parted at 0/190');
  expect(text).toContain('users: 2 orphans delivered, 3 changes not sent');
  expect(text).toMatch(/users +public\.users +insert +public\.users:7 +0:0\/258:4/);
  expect(text).toContain('all are counted');
  expect(JSON.parse(await run('--json'))).toMatchObject({
    databases: [{ database: 'shop', all_listed: false, orphans: [{ key: 'public.users:7' }] }],
  });
});

// What other hosts mean for the one that is followed, of what each has said.
import { expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { failed, passed, warned } from '../../../src/postgres/preflight/finding.ts';
import { judgeOthers, type OtherHost } from '../../../src/postgres/preflight/other-hosts.ts';

const SLOT = { name: 'tailrace', flushed: toLsn(100n), keeper: 'postgres' } as const;
const at = (host: string) => ({ host, port: 5432 });
const followed = { target: at('a'), systemIdentifier: '1', timeline: 2 };
const judge = (...others: OtherHost[]) => judgeOthers('shop', others, followed, SLOT);

const unready = warned({ code: 'STANDBY_NOT_READY', title: 'b', detail: 'would lose it', cure: 'wait' });
const setting = failed({
  code: 'STANDBY_SETTING',
  title: 'b',
  detail: 'feedback is off',
  cure: 'switch it on',
});

test('a slot that a failover would lose is told with the setting that is why, and with its cure', () => {
  const standby = { target: at('b'), role: 'standby', findings: [unready, setting] } as const;
  expect(judge(standby).unready).toMatchObject({
    code: 'STANDBY_NOT_READY',
    detail: 'would lose it (feedback is off)',
    cure: 'switch it on',
  });
  expect(judge({ ...standby, findings: [unready] }).unready).toBe(unready);
  expect(judge({ ...standby, findings: [passed('b', ''), setting] }).unready).toBe(setting);
  expect(judge({ ...standby, findings: [passed('b', '')] }).unready).toBeUndefined();
});

test('a primary on a higher timeline is newer, one on a lower is old, and one of another cluster is neither', () => {
  const primary = (timeline: number, systemIdentifier = '1'): OtherHost => ({
    target: at('b'),
    role: 'primary',
    timeline,
    systemIdentifier,
  });
  expect(judge(primary(3)).newer?.code).toBe('OLD_PRIMARY');
  expect(judge(primary(1)).old?.message).toContain('b:5432 is an old primary on timeline 1');
  for (const timeline of [1, 3])
    expect(judge(primary(timeline, '2'))).toMatchObject({ newer: undefined, old: undefined });
});

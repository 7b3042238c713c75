// What makes a part of the service less than healthy: one case a row.
import { describe, expect, test } from 'vitest';
import { judge } from '../../src/core/health.ts';
import type { DatabaseStatus, Health, SinkStatus } from '../../src/core/status.ts';
import {
  backfillStatus,
  databaseStatus,
  gap,
  routeStatus,
  serviceStatus,
  sinkStatus,
} from '../support/status.ts';

type Case<Part> = readonly [
  title: string,
  part: Partial<Part>,
  health: Health,
  reason?: RegExp,
  cure?: RegExp,
];

const LEFT_OUT =
  'table "public.keyless": it has no identity — ALTER TABLE public.keyless ADD PRIMARY KEY (id);';
const BUDGET = 'database "shop": the change log holds 6 of 10 GB: sink "users" is behind';

const DATABASES: readonly Case<DatabaseStatus>[] = [
  ['streaming', {}, 'healthy'],
  ['with a note', { notes: ['TLS: mode require verifies nobody'] }, 'healthy'],
  [
    'that reconnects',
    { health: 'degraded', state: 'waiting', reason: 'db-1: connection refused', cure: 'start it' },
    'degraded',
    /refused/,
    /start it/,
  ],
  ['that connects, and says no more', { state: 'connecting' }, 'degraded', /does not stream: connecting/],
  [
    'that needs somebody',
    { health: 'halted', state: 'waiting', reason: 'the slot is gone' },
    'halted',
    /gone/,
  ],
  ['with a table taken out or left out', { warnings: [LEFT_OUT] }, 'degraded', /keyless.*PRIMARY KEY/],
  ['above its budget', { warnings: [BUDGET] }, 'degraded', /6 of 10 GB/],
  [
    'with an open gap',
    { gaps: [gap({ id: 3, reason: 'the slot was made anew' })] },
    'degraded',
    /gap 3: .*0\/1 and 0\/9.*made anew/,
    /gaps\/3\/accept/,
  ],
  ['with a backfill that runs', { backfills: [backfillStatus()] }, 'healthy'],
  [
    'with a backfill that has failed',
    { backfills: [backfillStatus({ state: 'failed', reason: 'no right to read' })] },
    'degraded',
    /^backfill k7x2m9p4qa has failed: no right to read$/,
    /tailrace backfill resume k7x2m9p4qa; or tailrace backfill cancel k7x2m9p4qa/,
  ],
  [
    'with a backfill that is paused',
    { backfills: [backfillStatus({ state: 'paused' })] },
    'degraded',
    /^backfill k7x2m9p4qa is paused$/,
    /tailrace backfill resume k7x2m9p4qa/,
  ],
];

const SINKS: readonly Case<SinkStatus>[] = [
  ['running', {}, 'healthy'],
  ['that is behind and retries', { lagBytes: 1e9, lagSeconds: 600, retried: 7 }, 'healthy'],
  [
    'that left out what it was told to',
    { gaps: [{ from: '0/1', to: '0/2', reason: 'disabled' }] },
    'healthy',
  ],
  ['that starts', { state: 'starting' }, 'healthy'],
  ['that is paused', { state: 'paused' }, 'degraded', /paused/, /tailrace resume shop\/users/],
  ['that is disabled', { state: 'disabled' }, 'degraded', /disabled/, /tailrace resume shop\/users/],
  [
    'that is halted',
    { state: 'halted', health: 'halted', reason: 'a gap: …', cure: 'accept it' },
    'halted',
    /a gap/,
    /accept it/,
  ],
  ['that has stopped and says no more', { state: 'stopped' }, 'halted', /does not run: stopped/],
  [
    'with a route that is down',
    {
      routes: [
        routeStatus('q'),
        routeStatus('r', { health: 'degraded', reason: 'AccessDenied', cure: 'allow' }),
      ],
    },
    'degraded',
    /^r: AccessDenied$/,
    /allow/,
  ],
  [
    'whose rows name more routes than there is room for, and that reads no further',
    { routesInUse: 1003 },
    'degraded',
    /^messages are on their way to 1003 routes, as many as are open at once: nothing is sent to others until one is idle$/,
    /mend the routes that fail/,
  ],
  [
    'with a group held back',
    { blockedGroups: ['public.users:7'] },
    'degraded',
    /public\.users:7/,
    /max_retry_count/,
  ],
  [
    'with dead letters',
    { deadLetters: 3, replaying: 1 },
    'degraded',
    /3 dead letters kept, of which 1/,
    /list shop\/users/,
  ],
  [
    'that gives changes up, and has a route that is halted',
    {
      health: 'degraded',
      reason: 'discards what it is behind with',
      routes: [routeStatus('r', { health: 'halted', reason: 'no such queue', cure: 'make it' })],
    },
    'halted',
    /^r: no such queue$/,
    /make it/,
  ],
  [
    'that gives changes up',
    { health: 'degraded', reason: 'discards what it is behind with' },
    'degraded',
    /discards/,
  ],
];

describe('a database', () => {
  for (const [title, part, health, reason = /^$/, cure = /^/] of DATABASES) {
    test(`${title} is ${health}`, () => {
      const database = judge(serviceStatus({ databases: [databaseStatus(part)], sinks: [] })).databases[0]!;
      expect(database.health).toBe(health);
      expect(database.reason ?? '').toMatch(reason);
      expect(database.cure ?? '').toMatch(cure);
    });
  }
});

describe('a sink', () => {
  for (const [title, part, health, reason = /^$/, cure = /^/] of SINKS) {
    test(`${title} is ${health}`, () => {
      const sink = judge(serviceStatus({ sinks: [sinkStatus(part)] })).sinks[0]!;
      expect(sink.health).toBe(health);
      expect(sink.reason ?? '').toMatch(reason);
      expect(sink.cure ?? '').toMatch(cure);
    });
  }
});

describe('the service', () => {
  const all = [
    ...DATABASES.map(([, part]) => serviceStatus({ databases: [databaseStatus(part)] })),
    ...SINKS.map(([, part]) => serviceStatus({ sinks: [sinkStatus(part)] })),
  ];

  test('is as well as the worst of its parts, and the same when it is judged again', () => {
    for (const seen of all) {
      const once = judge(seen);
      const parts = [...once.databases, ...once.sinks].map(({ health }) => health);
      expect(once.status).toBe(
        (['halted', 'degraded', 'healthy'] as const).find((word) => parts.includes(word)),
      );
      expect(judge(once)).toEqual(once);
    }
  });

  test('has no part that is healthy beside a trouble, or unwell without one', () => {
    for (const seen of all) {
      const { databases, sinks } = judge(seen);
      for (const { health, troubles } of [...databases, ...sinks]) {
        expect(health === 'healthy').toBe(troubles!.length === 0);
      }
    }
  });

  test('says of a sink that is paused both that and what was wrong with it', () => {
    const part = { state: 'paused', health: 'degraded', reason: 'the store is busy' } as const;
    const [sink] = judge(serviceStatus({ sinks: [sinkStatus(part)] })).sinks;
    expect(sink!.reason).toBe('the store is busy');
    expect(sink!.troubles!.map(({ reason }) => reason)).toEqual([
      'the store is busy',
      expect.stringMatching(/^paused/),
    ]);
  });

  test('says each trouble once, the worst first', () => {
    const one = gap();
    const reason = `database "shop": changes written between 0/1 and 0/9 may be missing (any table): ${one.reason}`;
    const database = databaseStatus({
      health: 'degraded',
      reason,
      gaps: [one, gap({ id: 4, to: '0/A' })],
      warnings: [reason],
    });
    const said = judge(serviceStatus({ databases: [database] })).databases[0]!.troubles!;
    expect(said.map((trouble) => trouble.reason.slice(0, 7))).toEqual(['databas', 'gap 4: ']);
    const sink = sinkStatus({
      state: 'halted',
      health: 'halted',
      reason: 'no store',
      deadLetters: 1,
      blockedGroups: ['a'],
    });
    const worst = judge(serviceStatus({ sinks: [sink] })).sinks[0]!.troubles!;
    expect(worst.map(({ health }) => health)).toEqual(['halted', 'degraded', 'degraded']);
  });
});

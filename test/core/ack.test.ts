import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextFlush, type FlushInput } from '../../src/core/ack.ts';
import { toLsn } from '../../src/core/lsn.ts';

const lsn = (value: number | bigint) => toLsn(BigInt(value));

const input = (changes: Partial<FlushInput>): FlushInput => ({
  policy: 'auto',
  acknowledging: 'delivered',
  durableDirectory: true,
  synchronous: false,
  settledLsn: lsn(100),
  durableLsn: lsn(200),
  loggedLsn: lsn(300),
  openTransaction: false,
  walEnd: lsn(300),
  previousFlush: lsn(50),
  received: lsn(1n << 40n),
  maxRetainedBytes: 1000,
  ...changes,
});

describe('the acknowledgement policy', () => {
  test('delivered flushes what every sink has settled', () => {
    expect(nextFlush(input({ policy: 'delivered' })).flush).toBe(lsn(100));
  });

  test('durable flushes what is fsynced here', () => {
    expect(nextFlush(input({ policy: 'durable' })).flush).toBe(lsn(200));
  });

  test('auto flushes what is settled while Postgres keeps little', () => {
    expect(nextFlush(input({}))).toEqual({ flush: lsn(100), acknowledging: 'delivered', alarm: undefined });
  });

  test('auto goes to durable once Postgres keeps more than max_retained', () => {
    const decision = nextFlush(input({ walEnd: lsn(1101) }));
    expect(decision).toEqual({ flush: lsn(200), acknowledging: 'durable', alarm: undefined });
  });

  test('auto stays delivered and alarms on a directory that does not outlive the process', () => {
    const decision = nextFlush(input({ walEnd: lsn(1101), durableDirectory: false }));
    expect(decision).toEqual({ flush: lsn(100), acknowledging: 'delivered', alarm: 'retained' });
  });

  test('auto returns to delivered only when the sinks have settled all that was flushed as durable', () => {
    const durable = { acknowledging: 'durable', previousFlush: lsn(250) } as const;
    expect(nextFlush(input({ ...durable, settledLsn: lsn(249) })).acknowledging).toBe('durable');
    expect(nextFlush(input({ ...durable, settledLsn: lsn(250) })).acknowledging).toBe('delivered');
  });

  test('a sink rewound below what was flushed moves nothing back, and Postgres keeps no more for it', () => {
    const rewound = input({
      settledLsn: lsn(10),
      previousFlush: lsn(300),
      walEnd: lsn(1200),
      durableDirectory: false,
    });
    expect(nextFlush(rewound)).toEqual({ flush: lsn(300), acknowledging: 'delivered', alarm: undefined });
    expect(nextFlush({ ...rewound, walEnd: lsn(1301) }).alarm).toBe('retained');
  });

  test('a keepalive is flushed when nothing is outstanding, and only then', () => {
    const idle = input({ settledLsn: undefined, durableLsn: lsn(300), walEnd: lsn(900) });
    expect(nextFlush(idle).flush).toBe(lsn(900));
    expect(nextFlush({ ...idle, durableLsn: lsn(299) }).flush).toBe(lsn(299));
    expect(nextFlush({ ...idle, openTransaction: true }).flush).toBe(lsn(300));
  });

  test('what rests on the sinks is flushed as far as their ledgers say, keepalives too, and no further', () => {
    const idle = input({ policy: 'delivered', settledLsn: lsn(300), walEnd: lsn(900) });
    expect(nextFlush(idle).flush).toBe(lsn(300));
    expect(nextFlush({ ...idle, settledLsn: lsn(700) }).flush).toBe(lsn(700));
    // Of a server before this one, perhaps: this one has not sent so much.
    expect(nextFlush({ ...idle, settledLsn: lsn(901), received: lsn(900) }).flush).toBe(lsn(900));
  });

  test('without a sink, what is durable counts as settled', () => {
    const decision = nextFlush(input({ settledLsn: undefined, durableLsn: lsn(300), walEnd: lsn(400) }));
    expect(decision.flush).toBe(lsn(400));
  });

  test('a synchronous standby flushes as durable at once, whatever the policy, and alarms', () => {
    const decision = nextFlush(input({ policy: 'delivered', synchronous: true }));
    expect(decision).toEqual({ flush: lsn(200), acknowledging: 'durable', alarm: 'synchronous' });
  });

  test('the flush never moves back, never passes what is neither settled nor durable, and is 64 bits wide (C149, C150)', () => {
    const position = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_fff0n }).map(toLsn);
    fc.assert(
      fc.property(
        fc.record({
          policy: fc.constantFrom('auto', 'delivered', 'durable'),
          acknowledging: fc.constantFrom('delivered', 'durable'),
          durableDirectory: fc.boolean(),
          synchronous: fc.boolean(),
          settledLsn: fc.option(position, { nil: undefined }),
          durableLsn: position,
          loggedLsn: position,
          openTransaction: fc.boolean(),
          walEnd: position,
          previousFlush: position,
          received: position,
          maxRetainedBytes: fc.nat(),
        }) as fc.Arbitrary<FlushInput>,
        (given) => {
          const { flush, acknowledging } = nextFlush(given);
          expect(flush >= given.previousFlush).toBe(true);
          const settled = given.settledLsn ?? given.durableLsn;
          const safe = acknowledging === 'durable' && given.durableLsn > settled ? given.durableLsn : settled;
          const outstanding = given.openTransaction || safe < given.loggedLsn;
          const bounds = [safe, given.previousFlush, ...(outstanding ? [] : [given.walEnd])];
          expect(bounds.some((bound) => flush <= bound)).toBe(true);
        },
      ),
    );
  });
});

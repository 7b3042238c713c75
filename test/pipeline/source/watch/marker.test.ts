import { beforeEach, describe, expect, test } from 'vitest';
import { toLsn } from '../../../../src/core/lsn.ts';
import { MarkerLoop, PROOF_PREFIX, readMarker } from '../../../../src/pipeline/source/watch/marker.ts';
import { logicalMessage } from '../../../support/pgoutput-messages.ts';

const MIB = 1024 * 1024;
const LIMIT_MS = 60_000;
let loop: MarkerLoop;
beforeEach(() => {
  loop = new MarkerLoop('token', toLsn(0n));
});

const due = (nowMs: number, walEnd: number, flushed = 0): string | undefined =>
  loop.due({ nowMs, limitMs: LIMIT_MS, walEnd: toLsn(BigInt(walEnd)), flushed: toLsn(BigInt(flushed)) });

/** A marker goes out at `walEnd`, comes back, and is flushed. */
function prove(nowMs: number, walEnd: number): void {
  const content = due(nowMs, walEnd)!;
  loop.emits(content, nowMs);
  loop.emitted(toLsn(BigInt(walEnd + 100)));
  loop.came(content);
  expect(due(nowMs + 1, walEnd + 100, walEnd + 100)).toBeUndefined();
}

describe('markers', () => {
  test('are written where the WAL has moved, and never by the clock where it has not', () => {
    expect(due(0, 100)).toBeUndefined();
    prove(0, MIB);
    // What an idle server writes after ours, for days.
    for (let day = 1; day < 30; day++) expect(due(day * 86_400_000, MIB + 500, MIB + 500)).toBeUndefined();
    expect(due(31 * 86_400_000, 2 * MIB, MIB)).toBeDefined();
  });

  test('come one at a time, and no more than three within the time of a stall', () => {
    const content = due(0, MIB)!;
    loop.emits(content, 0);
    loop.emitted(toLsn(BigInt(MIB)));
    expect(due(LIMIT_MS, 9 * MIB)).toBeUndefined();
    loop.came(content);
    expect(due(LIMIT_MS, 9 * MIB)).toBeUndefined();
    // Flushed: the next one may go.
    expect(due(LIMIT_MS, 9 * MIB, MIB)).toBeUndefined();
    expect(due(LIMIT_MS, 10 * MIB, MIB)).toBe('token:2');
    loop.emits('token:2', LIMIT_MS);
    loop.emitted(toLsn(BigInt(10 * MIB)));
    loop.came('token:2');
    expect(due(LIMIT_MS + 1, 20 * MIB, 10 * MIB)).toBeUndefined();
    expect(due(LIMIT_MS + 2, 30 * MIB, 10 * MIB)).toBeUndefined();
    expect(due(LIMIT_MS + LIMIT_MS / 3, 30 * MIB, 10 * MIB)).toBe('token:3');
  });

  test('prove nothing before what they tell of is flushed', () => {
    loop.emits(due(0, MIB)!, 0);
    loop.emitted(toLsn(BigInt(MIB)));
    loop.came('token:1');
    expect(due(LIMIT_MS, 9 * MIB, MIB - 1)).toBeUndefined();
    // Had that been one, it would count up to where the WAL stood then.
    expect(due(LIMIT_MS, 9 * MIB + 1, MIB)).toBeUndefined();
    expect(due(LIMIT_MS, 9 * MIB + 64 * 1024, MIB)).toBeUndefined();
    expect(due(LIMIT_MS, 9 * MIB + 1 + 64 * 1024, MIB)).toBe('token:2');
  });

  test('that do not come are missing from when they were written, until they come', () => {
    expect(loop.missingForMs(5)).toBeUndefined();
    const content = due(10, MIB)!;
    loop.emits(content, 10);
    expect(loop.missingForMs(110)).toBe(100);
    loop.came('another:1');
    expect(loop.missingForMs(110)).toBe(100);
    // Before the server has answered where it stands.
    loop.came(content);
    expect(loop.missingForMs(110)).toBeUndefined();
    loop.emitted(toLsn(BigInt(MIB)));
    expect(due(LIMIT_MS, 3 * MIB, MIB)).toBeUndefined();
    expect(due(LIMIT_MS, 4 * MIB, MIB)).toBe('token:2');
  });

  test('that the server refuses are given up', () => {
    loop.emits(due(0, MIB)!, 0);
    loop.refused();
    expect(loop.missingForMs(LIMIT_MS * 9)).toBeUndefined();
    expect(due(LIMIT_MS * 9, 9 * MIB)).toBeUndefined();
  });
});

test('a marker is read out of the message that carries it, and out of no other', () => {
  const read = (message: Buffer): string | undefined => {
    const within = Buffer.concat([Buffer.from('xyz'), message, Buffer.from('zyx')]);
    return readMarker(within, 3, 3 + message.length);
  };
  const message = (prefix: string, content: string): Buffer => logicalMessage(prefix, content);
  expect(read(message(PROOF_PREFIX, 'a.1.b.2:3'))).toBe('a.1.b.2:3');
  expect(read(message(PROOF_PREFIX, ''))).toBe('');
  for (const prefix of ['tailrace:skip', 'tailrace:proofs', 'tailrace', '', 'x']) {
    expect(read(message(prefix, 'a'))).toBeUndefined();
  }
});

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import { judgeSilence, ReadPacing } from '../../../src/postgres/replication/read-pacing.ts';
import { RANGE, ReplicationInput } from '../../../src/postgres/replication/input.ts';
import { statusUpdate } from '../../../src/postgres/replication/protocol.ts';
import { backendMessage } from '../../support/postgres-wire.ts';

const xlogData = (content: Uint8Array): Buffer =>
  backendMessage('d', Buffer.concat([Buffer.from('w'), Buffer.alloc(24), content]));

function keepalive(walEnd: bigint, replyRequested: boolean): Buffer {
  const content = Buffer.alloc(18);
  content.write('k', 'latin1');
  content.writeBigUInt64BE(walEnd, 1);
  content[17] = replyRequested ? 1 : 0;
  return backendMessage('d', content);
}

/** Pushes `bytes` cut at `cuts`; joins pieces, as a reader would. */
function readAll(input: ReplicationInput, bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const messages: Buffer[] = [];
  const places = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  let from = 0;
  for (const to of places) {
    input.push(bytes.subarray(from, to));
    from = to;
    while (input.ready) {
      const batch = input.take();
      for (let i = 0; i < batch.count; i++) {
        const range = Buffer.from(batch.bytes.subarray(batch.starts[i], batch.ends[i]));
        const kind = batch.kinds[i];
        if (kind === RANGE.whole || kind === RANGE.first) messages.push(range);
        else messages.push(Buffer.concat([messages.pop()!, range]));
      }
    }
  }
  return messages;
}

describe('the input', () => {
  test('gives every message whole and in order, wherever the socket cuts the bytes', () => {
    const content = fc.uint8Array({ minLength: 5, maxLength: 60 });
    fc.assert(
      fc.property(
        fc.array(content, { maxLength: 12 }),
        fc.array(fc.nat({ max: 2000 }), { maxLength: 40 }),
        fc.integer({ min: 5, max: 70 }),
        (contents, cuts, limit) => {
          const stream = contents.flatMap((bytes, i) => [xlogData(bytes), keepalive(BigInt(i), false)]);
          const messages = readAll(new ReplicationInput(limit), Buffer.concat(stream), cuts);
          expect(messages).toEqual(contents.map((bytes) => Buffer.from(bytes)));
        },
      ),
    );
  });

  test('gives a message beyond the limit in pieces, without holding all of it', () => {
    const input = new ReplicationInput(1000);
    const message = xlogData(Buffer.alloc(50_000_000, 7));
    let bytes = 0;
    let announced = 0;
    const kinds = new Set<number>();
    for (let at = 0; at < message.length; at += 65_536) {
      input.push(message.subarray(at, at + 65_536));
      const batch = input.take();
      announced ||= batch.oversizeBytes;
      for (let i = 0; i < batch.count; i++) {
        kinds.add(batch.kinds[i]!);
        bytes += batch.ends[i]! - batch.starts[i]!;
      }
      expect(batch.bytes.length).toBeLessThan(1_000_000);
    }
    expect([announced, bytes]).toEqual([50_000_000, 50_000_000]);
    expect(kinds).toEqual(new Set([RANGE.first, RANGE.next, RANGE.last]));
  });

  test('begins the pieces of a message with enough of it to know its prefix, however it comes', () => {
    const input = new ReplicationInput(200);
    const prefix = 'sequin:transaction_annotations.set';
    const head = Buffer.concat([Buffer.from('M'), Buffer.alloc(9, 1), Buffer.from(`${prefix}\0`)]);
    const message = xlogData(Buffer.concat([head, Buffer.alloc(300, 0x78)]));
    const firsts: Buffer[] = [];
    for (const byte of message) {
      input.push(Buffer.from([byte]));
      if (!input.ready) continue;
      const { count, kinds, bytes, starts, ends } = input.take();
      for (let i = 0; i < count; i++) {
        if (kinds[i] === RANGE.first) firsts.push(Buffer.from(bytes.subarray(starts[i], ends[i])));
      }
    }
    expect(firsts).toHaveLength(1);
    expect(firsts[0]!.subarray(0, head.length)).toEqual(head);
  });

  test('one byte at a time, a message is taken once and when it is complete', () => {
    const input = new ReplicationInput(1000);
    const message = xlogData(Buffer.from('hello'));
    const taken = [...message].map((byte) => {
      input.push(Buffer.from([byte]));
      return input.ready ? input.take().count : 0;
    });
    expect(taken.lastIndexOf(0)).toBe(message.length - 2);
    expect(taken.at(-1)).toBe(1);
    expect(input.ready).toBe(false);
  });

  test('knows the last WAL end and whether a reply is wanted (C146)', () => {
    const input = new ReplicationInput(1000);
    input.push(Buffer.concat([keepalive(0xffff_ffff_ffff_fff0n, true), keepalive(3n, false)]));
    input.take();
    expect(input.walEnd).toBe(toLsn(3n));
    expect(input.replyRequested).toBe(true);
  });
});

describe('a status update', () => {
  test('says the same end LSN three times, never one more', () => {
    const message = statusUpdate(toLsn(0x1_0000_0002n), 946_684_800_123, true);
    expect(message).toHaveLength(39);
    for (const at of [6, 14, 22]) expect(message.readBigUInt64BE(at)).toBe(0x1_0000_0002n);
    expect(message.readBigInt64BE(30)).toBe(123_000n);
    expect(message[38]).toBe(1);
  });
});

describe('read pacing', () => {
  test('never rests on an idle stream', () => {
    const pacing = new ReadPacing();
    for (let ms = 0; ms < 1000; ms++) expect(pacing.shouldRest(200, ms)).toBe(false);
  });

  test('rests after small reads under load, not after large ones, until the load is over', () => {
    const pacing = new ReadPacing();
    let rests = 0;
    for (let i = 0; i < 32; i++) if (pacing.shouldRest(200, 0)) rests++;
    expect(rests).toBe(1);
    expect(pacing.shouldRest(60_000, 1)).toBe(false);
    expect(pacing.shouldRest(200, 1)).toBe(true);
    expect(pacing.shouldRest(200, 2)).toBe(false);
    expect(pacing.shouldRest(200, 3)).toBe(false);
  });
});

describe('a silent socket', () => {
  const judge = (silentForMs: number, askedForMs?: number) =>
    judgeSilence({ silentForMs, askedForMs, limitMs: 1000 });

  test('is asked after half of the limit and dead after all of it', () => {
    expect(judge(500)).toBe('alive');
    expect(judge(501)).toBe('ask');
    expect(judge(900, 399)).toBe('alive');
    expect(judge(1001, 501)).toBe('dead');
  });

  test('is asked first by a process that was itself stopped for long', () => {
    expect(judge(3_600_000)).toBe('ask');
    expect(judge(3_600_100, 100)).toBe('alive');
  });
});

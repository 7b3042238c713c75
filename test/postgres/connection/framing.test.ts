import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { MessageGuard } from '../../../src/postgres/connection/framing.ts';
import { backendMessage, errorResponse } from '../../support/postgres-wire.ts';

/** A header that says another length than its message has. */
const claiming = (type: string, length: number): Buffer => {
  const header = backendMessage(type, Buffer.alloc(0));
  header.writeUInt32BE(length, 1);
  return header;
};

test('what comes in pieces is handed on in whole messages, unchanged', () => {
  const message = fc
    .tuple(fc.constantFrom('R', 'S', 'D', 'C', 'Z'), fc.uint8Array({ maxLength: 40 }))
    .map(([type, content]) => backendMessage(type, content));
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.nat({ max: 300 })), (messages, cuts) => {
      const stream = Buffer.concat([...messages, errorResponse('XX000', 'text')]);
      const guard = new MessageGuard();
      const ends = new Set<number>();
      for (let at = 0, i = 0; at < stream.length;) {
        ends.add(at);
        at += 1 + stream.readUInt32BE(at + 1);
        if (++i > messages.length) ends.add(at);
      }
      const handedOn: Buffer[] = [];
      let from = 0;
      for (const to of [...cuts.map((cut) => cut % stream.length), stream.length].sort((a, b) => a - b)) {
        guard.push(stream.subarray(from, to), (whole) => handedOn.push(Buffer.from(whole)));
        expect(ends).toContain(Buffer.concat(handedOn).length);
        from = to;
      }
      expect(Buffer.concat(handedOn)).toEqual(stream);
    }),
  );
});

test.each([
  ['a length shorter than itself', claiming('R', 3)],
  ['a negative length', claiming('S', 0xffff_ffff)],
  ['an error longer than anybody reads', claiming('E', 50_000_000)],
  ['a row that no memory holds', claiming('D', 0x7fff_ffff)],
  ['an error without an end', backendMessage('E', Buffer.from('SFATAL\0Mtext'))],
  ['an error without its last byte', backendMessage('E', Buffer.from('SFATAL\0Mtext\0'))],
  ['an error without fields', backendMessage('E', Buffer.alloc(0))],
  ['a notice without an end', backendMessage('N', Buffer.from('M'))],
])('%s is refused as soon as it is seen, behind what is sound', (_, bytes) => {
  const guard = new MessageGuard();
  const sound = backendMessage('Z', Buffer.from('I'));
  const handedOn: Buffer[] = [];
  const hand = (whole: Buffer): void => void handedOn.push(whole);
  guard.push(sound, hand);
  expect(handedOn).toEqual([sound]);
  expect(() => guard.push(Buffer.concat([sound, bytes]), hand)).toThrow(/message of type|without an end/);
});

test.each([
  ['a length that is cut', claiming('R', 3), 3],
  ['an error without an end that is cut', backendMessage('E', Buffer.from('SFATAL\0Mtext')), 9],
])('%s is refused when the rest comes', (_, bytes, at) => {
  const guard = new MessageGuard();
  guard.push(bytes.subarray(0, at), () => undefined);
  expect(() => guard.push(bytes.subarray(at), () => undefined)).toThrow(/message of type|without an end/);
});

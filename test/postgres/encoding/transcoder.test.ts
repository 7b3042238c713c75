import { expect, test } from 'vitest';
import { readAsUtf8 } from '../../../src/postgres/encoding/reading.ts';
import { Transcoder } from '../../../src/postgres/encoding/transcoder.ts';
import { ReplicationInput, walStartOf } from '../../../src/postgres/replication/input.ts';
import { insertMessage } from '../../support/pgoutput-messages.ts';

/** As a walsender sends it. */
function copyData(walStart: bigint, message: Buffer): Buffer {
  const head = Buffer.alloc(30);
  head.write('d', 0, 'latin1');
  head.writeUInt32BE(4 + 25 + message.length, 1);
  head.write('w', 5, 'latin1');
  head.writeBigUInt64BE(walStart, 6);
  return Buffer.concat([head, message]);
}

test('a batch whose texts are made UTF-8 keeps the place of each row in the WAL', async () => {
  const input = new ReplicationInput(1024);
  const rows = [insertMessage(1, ['plain']), insertMessage(1, ['\u00e9\u00e8']), insertMessage(1, ['plain'])];
  rows.forEach((row, i) => input.push(copyData(BigInt(100 * (i + 1)), row)));
  const utf8 = await new Transcoder(readAsUtf8, 'everything').inUtf8(input.take());
  const places = rows.map((_, i) => walStartOf(utf8.bytes, utf8.starts[i]!));
  expect(places).toEqual([100n, 200n, 300n]);
  expect(rows.map((_, i) => utf8.bytes.subarray(utf8.starts[i], utf8.ends[i]))).toEqual(rows);
});

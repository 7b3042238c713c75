// Both encodings of a message are the same message.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { createRowEvent } from '../../src/core/change.ts';
import type { MessageEncoding } from '../../src/core/encoding.ts';
import { buildRelation } from '../../src/pgoutput/enrichment.ts';
import { decodeRelation, decodeRow } from '../../src/pgoutput/messages.ts';
import { compileRelation, renderContext, type RenderSettings } from '../support/decode.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  UNCHANGED,
  updateMessage,
} from '../support/pgoutput-messages.ts';

const JSONB = 3802;
const COLUMNS = [
  { name: 'id', type: 23, identity: true },
  { name: 'a "quoted" \\ name', type: 25, identity: true },
  { name: 'document', type: JSONB, identity: true },
];
const relation = buildRelation(
  decodeRelation(
    relationMessage({ id: 1, schema: 'public', table: 'ta"ble', identity: 'f', columns: COLUMNS }),
    0,
  ),
  undefined,
);

const row = fc
  .tuple(fc.nat(), fc.string({ unit: 'binary' }), fc.option(fc.json()))
  .map(([id, text, document]) => [String(id), text.toWellFormed().replaceAll('\0', ''), document]);
const message = fc.oneof(
  row.map((columns) => insertMessage(1, columns)),
  fc.tuple(row, row).map(([old, now]) => updateMessage(1, now, { kind: 'full', row: old })),
  row.map(([id, text]) => updateMessage(1, [id!, text!, UNCHANGED])),
  row.map((columns) => deleteMessage(1, { kind: 'full', row: columns })),
);

test.each([
  { format: 'sequin' },
  { format: 'tailrace', values: { absent: 'null', unchanged: 'text' } },
  { format: 'pg2sqs', severalActions: true, options: { commit_time_column: 'commit "time"' } },
  { format: 'debezium', options: { debezium: { 'topic.prefix': 'a "b"' } } },
  { format: 'debezium', options: { debezium: { unwrap: true, 'add.fields': 'op,source.table' } } },
  { format: 'wal2json', options: { wal2json: { 'include-pk': true, 'include-timestamp': true } } },
  { format: 'cloudevents', options: { data_format: 'tailrace' } },
] satisfies RenderSettings[])('a $format message inside a JSON string is the message', (settings) => {
  const render = (bytes: Buffer, encoding: MessageEncoding): { text: string; escapes: number } => {
    const event = createRowEvent();
    decodeRow(bytes, 0, bytes.length, event);
    const writer = new ByteWriter(1);
    compileRelation(relation, { ...settings, encoding }).render(event, renderContext(), writer);
    return { text: writer.buffer.toString('utf8', 0, writer.length), escapes: writer.escapes };
  };
  fc.assert(
    fc.property(message, (bytes) => {
      const plain = render(bytes, 'json');
      const inside = render(bytes, 'json-string');
      expect(JSON.parse(`"${inside.text}"`)).toBe(plain.text);
      expect(plain.escapes).toBe(0);
      expect(Buffer.byteLength(inside.text) - inside.escapes).toBe(Buffer.byteLength(plain.text));
    }),
  );
});

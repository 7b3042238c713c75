import { expect, test } from 'vitest';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import type { Relation } from '../../src/core/change.ts';
import { buildRelation } from '../../src/pgoutput/enrichment.ts';
import { decodeRelation } from '../../src/pgoutput/messages.ts';
import { compileRelation, renderContext, renderRow, type RenderSettings } from '../support/decode.ts';
import {
  deleteMessage,
  insertMessage,
  relationMessage,
  updateMessage,
  type Cell,
} from '../support/pgoutput-messages.ts';

// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and its JSON format.

function relationOf(key: readonly string[], table = 'users'): Relation {
  const columns = ['id', 'part', 'email'].map((name) => ({
    name,
    type: name === 'id' ? 23 : 25,
    identity: key.includes(name),
  }));
  const message = relationMessage({ id: 1, schema: 'public', table, identity: 'd', columns });
  return buildRelation(decodeRelation(message, 0), undefined);
}
const users = relationOf(['id']);
const EVENTS: RenderSettings = { format: 'cloudevents' };
const insert = (row: readonly Cell[]): Buffer => insertMessage(1, row);
const ROW = ['1', 'a', 'a@example.com'];

/** Attribute names are lower case letters and digits, and their values here texts that are not empty. */
function eventOf(text: string): Readonly<Record<string, unknown>> {
  const event = JSON.parse(text) as Record<string, unknown>;
  const { data, ...attributes } = event;
  expect(data).toBeTypeOf('object');
  for (const [name, value] of Object.entries(attributes)) {
    expect(name).toMatch(/^[a-z0-9]{1,20}$/);
    expect(value).toMatch(/./);
  }
  return event;
}

test('a change is an event: its key identifies it, and its data is the message of the format inside', () => {
  const event = eventOf(renderRow(users, insert(ROW), EVENTS));
  expect(event).toEqual({
    specversion: '1.0',
    id: 'key-0',
    source: '/tailrace/shop/public.users',
    type: 'tailrace.insert',
    subject: '1',
    time: '2026-01-02T03:04:05.123456Z',
    datacontenttype: 'application/json',
    data: JSON.parse(renderRow(users, insert(ROW), { format: 'sequin' })) as unknown,
  });
  expect(Object.keys(event).at(-1)).toBe('data');
});

test.each(['tailrace', 'pg2sqs', 'debezium'] as const)('the format inside may be %s', (name) => {
  const event = eventOf(renderRow(users, insert(ROW), { ...EVENTS, options: { data_format: name } }));
  expect(event['data']).toEqual(JSON.parse(renderRow(users, insert(ROW), { format: name })));
});

test('each action is a type', () => {
  const types = [
    renderRow(users, updateMessage(1, ROW), EVENTS),
    renderRow(users, deleteMessage(1, { kind: 'key', row: ['1', null, null] }), EVENTS),
    renderRow(users, insert(ROW), EVENTS, { read: true }),
  ].map((text) => eventOf(text)['type']);
  expect(types).toEqual(['tailrace.update', 'tailrace.delete', 'tailrace.read']);
});

test('a truncate has no subject, as no row', () => {
  const writer = new ByteWriter(1);
  compileRelation(users, EVENTS).renderTruncate(renderContext(), writer);
  const event = eventOf(writer.buffer.toString('utf8', 0, writer.length));
  expect(event).toMatchObject({ type: 'tailrace.truncate', data: { action: 'truncate' } });
  expect(event).not.toHaveProperty('subject');
});

test.each([
  ['a number', ['id'], ROW, '1'],
  ['a text with quotes', ['part'], ['1', 'a "b" \\ \u00e9', null], 'a "b" \\ \u00e9'],
  [
    'several columns, whose commas are encoded',
    ['id', 'part'],
    ['1', '50%, or "more"', null],
    '1,50%25%2C or "more"',
  ],
  ['an empty text: there is none', ['part'], ['1', '', null], undefined],
  ['no key: there is none', [], ROW, undefined],
] as const)('the subject is the key: %s', (_, key, row, subject) => {
  for (const encoding of ['json', 'json-string'] as const) {
    const text = renderRow(relationOf(key), insert(row), { ...EVENTS, encoding });
    const event = eventOf(encoding === 'json' ? text : (JSON.parse(`"${text}"`) as string));
    expect(event['subject']).toBe(subject);
  }
});

test('source, type and schema are what the sink says, and names of tables are encoded', () => {
  const cloudevents = {
    source: 'https://example.com/shop/',
    type: 'com.example.row',
    dataschema: 'https://example.com/row.json',
  };
  const text = renderRow(relationOf(['id'], 'a b/ü'), insert(ROW), { ...EVENTS, options: { cloudevents } });
  expect(eventOf(text)).toMatchObject({
    source: 'https://example.com/shop/public.a%20b%2F%C3%BC',
    type: 'com.example.row.insert',
    dataschema: 'https://example.com/row.json',
  });
});

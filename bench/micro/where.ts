// A filter: what it costs to judge a row by two comparisons, and a sink whose filter rejects everything, without request and ledger.
import { createRowEvent } from '../../src/core/change.ts';
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { compileFilter } from '../../src/functions/where/filter.ts';
import { loadFilterParser } from '../../src/functions/where/parser.ts';
import { decodeRow } from '../../src/pgoutput/messages.ts';
import { renderPlan, insertMessage, relation, renderContext } from './rows.ts';
import { timePerRow, type Stage } from './stage.ts';

const ROWS = 400_000;

const FILTERS = {
  'two numbers': 'id > 100 and numeric_field < 1000000',
  'a number and a text': "id > 100 and string_field <> 'none'",
  'a member of a document': "json_field->>'b' = 'some text'",
} as const;

const COLLATIONS = {
  default: { isDeterministic: true, isByteOrder: false, letters: 'more' },
  own: {},
} as const;
const CHANGE = {
  action: 'insert',
  schema: 'public',
  table: 'records',
  commitTimeUs: 0n,
  annotations: undefined,
} as const;

export async function stages(): Promise<Stage[]> {
  const parse = await loadFilterParser();
  const message = insertMessage(123_456);
  const event = createRowEvent();
  const decode = timePerRow(ROWS, (count) => {
    for (let i = 0; i < count; i++) decodeRow(message, 0, message.length, event);
  });
  const judged = Object.entries(FILTERS).map(([what, text]) => {
    const filter = compileFilter(parse(text), { ...relation, collations: COLLATIONS });
    const usPerRow = timePerRow(ROWS, (count) => {
      for (let i = 0; i < count; i++) filter.judge(event, CHANGE);
    });
    return { stage: `judge ${what}`, usPerRow, note: text };
  });
  const plan = renderPlan('sequin');
  const writer = new ByteWriter();
  const render = timePerRow(ROWS, (count) => {
    for (let i = 0; i < count; i++) {
      writer.length = 0;
      plan.render(event, renderContext, writer);
    }
  });
  return [
    { stage: 'decode', usPerRow: decode, note: 'of the same row' },
    ...judged,
    { stage: 'render', usPerRow: render, note: 'of the same row, format sequin' },
  ];
}

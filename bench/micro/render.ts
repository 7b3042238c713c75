// pgoutput's bytes → a change → the message's JSON.
import { ByteWriter } from '../../src/core/byte-writer.ts';
import { createRowEvent } from '../../src/core/change.ts';
import { formatNames } from '../../src/formats/names.ts';
import { decodeRow } from '../../src/pgoutput/messages.ts';
import type { MaskRule } from '../../src/functions/columns/rules.ts';
import { messageBlock, renderContext, renderPlan } from './rows.ts';
import { timePerRow, type Stage } from './stage.ts';

const ROWS = 300_000;
/** `tailrace` is the same code as `sequin`. */
const OTHERS = formatNames.filter((name) => name !== 'sequin' && name !== 'tailrace');
/** The arena of a sink begins anew about here. */
const ARENA_BYTES = 256 * 1024;

/** What a table may declare of its columns (docs/columns.md), alone and as tables have them. */
const RULES: Readonly<Record<string, Parameters<typeof renderPlan>[2]>> = {
  'usual rules': {
    exclude: ['inserted_at'],
    rename: new Map([['string_field', 'text']]),
    mask: new Map<string, MaskRule>([
      ['numeric_field', { kind: 'redact' }],
      ['updated_at', { kind: 'null' }],
    ]),
    add: new Map([['source', { kind: 'constant', json: '"shop"' }]]),
  },
  'mask: last': { mask: new Map([['string_field', { kind: 'last', count: 4 }]]) },
  'mask: hash': { mask: new Map([['id', { kind: 'hash' }]]) },
  'add: template': {
    add: new Map([['label', { kind: 'template', template: '${row.id}-${row.string_field}' }]]),
  },
  flatten: { flatten: new Map([['json_field', { separator: '_', depth: 16 }]]) },
};

/** Workers of a round each: `rows` rows decoded, decoded and rendered, or taken through JavaScript's own JSON. */
export function renderWork() {
  const { bytes, ends } = messageBlock();
  const event = createRowEvent();
  const writer = new ByteWriter();
  const decodeAt = (row: number): void => {
    const at = row % ends.length;
    decodeRow(bytes, at === 0 ? 0 : ends[at - 1]!, ends[at]!, event);
  };
  const renderWith = (plan: ReturnType<typeof renderPlan>) => (rows: number) => {
    for (let row = 0; row < rows; row++) {
      if (writer.length > ARENA_BYTES) writer.reset();
      decodeAt(row);
      plan.render(event, renderContext, writer);
    }
  };
  const sequin = renderPlan('sequin');
  const forSqs = renderPlan('sequin', 'json-string');
  const messages = ends.map((_, row) => {
    writer.reset();
    decodeAt(row);
    sequin.render(event, renderContext, writer);
    return writer.buffer.toString('utf8', 0, writer.length);
  });
  writer.reset();
  return {
    decode: (rows: number) => {
      for (let row = 0; row < rows; row++) decodeAt(row);
    },
    decodeAndRender: renderWith(sequin),
    decodeAndRenderForSqs: renderWith(forSqs),
    decodeAndRenderOthers: OTHERS.map((name) => renderWith(renderPlan(name))),
    decodeAndRenderWith: Object.fromEntries(
      Object.entries(RULES).map(([name, rules]) => [name, renderWith(renderPlan('sequin', 'json', rules))]),
    ),
    /** The same rows, as text that is there already. */
    parseAndStringify: (rows: number) => {
      for (let row = 0; row < rows; row++) {
        if (writer.length > ARENA_BYTES) writer.reset();
        writer.text(JSON.stringify(JSON.parse(messages[row % messages.length]!)));
      }
    },
    messageBytes: messages[0]!.length,
  };
}

export function stages(): Stage[] {
  const work = renderWork();
  const decode = timePerRow(ROWS, work.decode);
  const both = timePerRow(ROWS, work.decodeAndRender);
  const bothForSqs = timePerRow(ROWS, work.decodeAndRenderForSqs);
  const others = work.decodeAndRenderOthers.map((render) => timePerRow(ROWS, render));
  const declared = Object.entries(work.decodeAndRenderWith).map(([name, run]): Stage => {
    const usPerRow = timePerRow(ROWS, run);
    return {
      stage: `render (${name})`,
      usPerRow: usPerRow - decode,
      note: `with the decoding ${(usPerRow / both).toFixed(2)} × sequin`,
    };
  });
  const json = timePerRow(ROWS, work.parseAndStringify);
  return [
    { stage: 'decode', usPerRow: decode, note: 'pgoutput → columns' },
    {
      stage: 'render',
      usPerRow: both - decode,
      note: `columns → JSON of ${work.messageBytes} bytes (sequin)`,
    },
    {
      stage: 'render (for SQS)',
      usPerRow: bothForSqs - decode,
      note: 'the same, escaped for the string of the request',
    },
    ...OTHERS.map((name, i) => ({
      stage: `render (${name})`,
      usPerRow: others[i]! - decode,
      note: 'the same row in this format',
    })),
    ...declared,
    { stage: 'JSON.parse + JSON.stringify', usPerRow: json, note: 'for comparison: the same message' },
  ];
}

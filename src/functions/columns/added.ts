// Added members: constants, and templates over the row. Pure; hot where a table has them (bench/micro/render.ts).
import type { ByteWriter } from '../../core/byte-writer.ts';
import { literal } from '../../core/encoding.ts';
import { jsonText } from '../../core/json.ts';
import type { MemberRenderer } from '../../core/render.ts';
import { STRING, typeOfJson, type JsonType } from '../../core/json-type.ts';
import { neededColumns, parseRowTemplate, type ColumnPart, type TemplatePart } from '../../core/template.ts';
import type { AddRule } from './rules.ts';

/** What a row says of a value: it was written, is NULL, or was not sent, or there is no such column. */
export type Told = 'written' | 'null' | 'absent';

/** Writes a value's text, as it may leave, as a part of a JSON string. */
export type PartWriter<Row> = (row: Row, writer: ByteWriter) => Told;

export type TemplatePorts<Row> = {
  readonly table: { readonly schema: string; readonly table: string };
  readonly valueOf: (part: ColumnPart) => PartWriter<Row>;
};

const NULL = literal('null', 'json');
const QUOTE = 0x22;

export function compileAdded<Row>(rule: AddRule, ports: TemplatePorts<Row>): MemberRenderer<Row> {
  if (rule.kind === 'constant') {
    const constant = literal(rule.json, 'json');
    return (_, writer) => {
      writer.literal(constant);
      return true;
    };
  }
  const parts = parseRowTemplate(rule.template).map((part) => partWriter(part, ports));
  return (row, writer) => {
    const { length, escapes } = writer;
    let isNull = false;
    writer.byte(QUOTE);
    for (const write of parts) {
      const told = write(row, writer);
      if (told === 'absent') {
        writer.truncate(length, escapes);
        return false;
      }
      if (told === 'null') isNull = true;
    }
    writer.byte(QUOTE);
    if (isNull) {
      writer.truncate(length, escapes);
      writer.literal(NULL);
    }
    return true;
  };
}

/** What JSON it is where it is not NULL, and the values of the row without which it is NULL or absent. */
export const typeOfAdded = (
  rule: AddRule,
): { readonly type: JsonType; readonly needs: readonly ColumnPart[] } =>
  rule.kind === 'constant'
    ? { type: typeOfJson(JSON.parse(rule.json)), needs: [] }
    : { type: STRING, needs: neededColumns(parseRowTemplate(rule.template)) };

/** NULL makes the whole NULL, and what was not sent makes it absent, where there is no default. */
function partWriter<Row>(part: TemplatePart, { table, valueOf }: TemplatePorts<Row>): PartWriter<Row> {
  switch (part.kind) {
    case 'text':
      return constantPart(part.text);
    case 'table':
    case 'schema':
      return constantPart(table[part.kind]);
    case 'value': {
      const write = valueOf(part);
      if (part.fallback === undefined) return write;
      const instead = constantPart<Row>(part.fallback);
      return (row, writer) => (write(row, writer) === 'written' ? 'written' : instead(row, writer));
    }
    case 'action':
    case 'column':
    case 'xid':
      throw new Error(`an added member has no ${part.kind}`);
    default:
      return part satisfies never;
  }
}

function constantPart<Row>(text: string): PartWriter<Row> {
  const bytes = Buffer.from(jsonText(text).slice(1, -1));
  return (_, writer) => {
    writer.bytes(bytes);
    return 'written';
  };
}

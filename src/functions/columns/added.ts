// Added members: constants, and templates over the row. Pure; hot where a table has them (bench/micro/render.ts).
import { ByteWriter } from '../../core/byte-writer.ts';
import { literal } from '../../core/encoding.ts';
import { writeJsonString } from '../../core/json.ts';
import type { MemberRenderer } from '../../core/render.ts';
import { STRING, typeOfJson, type JsonType } from '../../core/json-type.ts';
import { neededColumns, parseRowTemplate, type ColumnPart, type Template } from '../../core/template.ts';
import type { AddRule } from './rules.ts';

/** What a template asks of a row: texts as they may leave. null: NULL. Undefined: not sent, or no such column. */
export type TemplateRow = {
  text(column: string): string | null | undefined;
  old(column: string): string | null | undefined;
};

export type Table = { readonly schema: string; readonly table: string };

export function compileAdded(rule: AddRule, table: Table): MemberRenderer<TemplateRow> {
  if (rule.kind === 'constant') {
    const constant = literal(rule.json, 'json');
    return (_, writer) => {
      writer.literal(constant);
      return true;
    };
  }
  const template = parseRowTemplate(rule.template);
  return (row, writer) => {
    const text = textOf(template, table, row);
    if (text === undefined) return false;
    if (text === null) writer.latin1('null');
    else writeText(text, writer);
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

/** One is enough: a text is written without a pause. */
const SCRATCH = new ByteWriter(1024);

function writeText(text: string, writer: ByteWriter): void {
  SCRATCH.reset();
  SCRATCH.text(text);
  writeJsonString(SCRATCH.buffer, 0, SCRATCH.length, writer);
}

/** NULL makes the whole NULL, and what was not sent makes it absent, where there is no default. */
function textOf(template: Template, table: Table, row: TemplateRow): string | null | undefined {
  let text = '';
  let isNull = false;
  for (const part of template) {
    switch (part.kind) {
      case 'text':
        text += part.text;
        break;
      case 'table':
      case 'schema':
        text += table[part.kind];
        break;
      case 'value': {
        const value = part.image === 'old' ? row.old(part.name) : row.text(part.name);
        const told = value ?? part.fallback;
        if (told !== undefined) text += told;
        else if (value === undefined) return undefined;
        else isNull = true;
        break;
      }
      case 'action':
      case 'column':
      case 'xid':
        throw new Error(`an added member has no ${part.kind}`);
      default:
        part satisfies never;
    }
  }
  return isNull ? null : text;
}

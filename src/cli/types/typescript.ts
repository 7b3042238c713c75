// TypeScript from the descriptions of messages.
import type { MessageAction } from '../../core/change.ts';
import { someWithin, type JsonMember, type JsonObject, type JsonType } from '../../core/json-type.ts';
import { ANY_MESSAGE, DIMENSIONS, INT8, titleOf, type Declaration, type NamedTable } from './naming.ts';

const INDENT = '  ';

/** A type as TypeScript writes it; more than one line where it is an object. */
export function typeText(type: JsonType, indent = ''): string {
  switch (type.kind) {
    case 'any':
      return 'unknown';
    case 'null':
    case 'boolean':
    case 'number':
    case 'string':
      return type.kind;
    case 'integer':
      return type.bits === 64 ? INT8 : 'number';
    case 'constant':
      return JSON.stringify(type.value);
    case 'array':
      return `${inParentheses(type.items, indent)}[]`;
    case 'tuple':
      return `[${type.items.map((item) => typeText(item, indent)).join(', ')}]`;
    case 'dimensions':
      return `${DIMENSIONS}<${typeText(type.items, indent)}>`;
    case 'object':
      return objectText(type, indent);
    case 'union':
      return type.of.map((each) => typeText(each, indent)).join(' | ');
    case 'named':
      return type.name;
    default:
      return type satisfies never;
  }
}

const inParentheses = (type: JsonType, indent: string): string =>
  type.kind === 'union' ? `(${typeText(type, indent)})` : typeText(type, indent);

function objectText({ members, others = [] }: JsonObject, indent: string): string {
  const inner = indent + INDENT;
  const lines = [
    ...members.flatMap((each) => memberLines(each, inner)),
    ...others.map(({ prefix, type }) => `${inner}[member: ${keyType(prefix)}]: ${typeText(type, inner)};`),
  ];
  // `{}` would be everything but null.
  if (lines.length === 0) return '{ [member: string]: never }';
  return `{\n${lines.join('\n')}\n${indent}}`;
}

function memberLines({ name, type, optional, about }: JsonMember, indent: string): string[] {
  const line = `${indent}${keyText(name)}${optional === true ? '?' : ''}: ${typeText(type, indent)};`;
  return about === undefined ? [line] : [`${indent}/** ${commentText(about)} */`, line];
}

const keyText = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

const keyType = (prefix: string): string => {
  if (prefix === '') return 'string';
  const text = JSON.stringify(prefix)
    .slice(1, -1)
    .replaceAll('\\"', '"')
    .replaceAll(/[`$]/g, String.raw`\$&`);
  return `\`${text}\${string}\``;
};

/** A type's name may have anything in it, the end of a comment too. */
const commentText = (text: string): string => text.replaceAll('*/', String.raw`*\/`).replaceAll(/\s+/g, ' ');

const ABOUT: Readonly<Record<MessageAction, string>> = {
  insert: 'A new row.',
  update: 'A changed row.',
  delete: 'A row that is gone.',
  truncate: 'The whole table was emptied.',
  read: 'A row that was there already, as a backfill has read it.',
  schema: 'The table looks otherwise from here on.',
  begin: 'Changes of a transaction follow.',
  commit: 'That was all of the transaction.',
};

/** The types of a table, in blocks with an empty line between them. */
export const tableText = ({ name, table, declarations }: NamedTable): string =>
  [
    ...declarations.map(declarationText),
    `/** Every message of ${commentText(titleOf(table))}. */\nexport type ${name} = ${declarations
      .filter(({ action }) => action !== undefined)
      .map((each) => each.name)
      .join(' | ')};`,
  ].join('\n\n');

function declarationText({ name, type, action }: Declaration): string {
  const comment = action === undefined ? '' : `/** ${ABOUT[action]} */\n`;
  return `${comment}export type ${name} = ${typeText(type)};`;
}

/** What the types of these tables use of the files' own. */
export function helpersOf(tables: readonly NamedTable[]): string {
  const uses = (isSo: (type: JsonType) => boolean): boolean =>
    tables.some(({ declarations }) => declarations.some(({ type }) => someWithin(type, isSo)));
  const helpers = [
    ...(uses((type) => type.kind === 'integer' && type.bits === 64) ? [INT8_TEXT] : []),
    ...(uses(({ kind }) => kind === 'dimensions') ? [DIMENSIONS_TEXT] : []),
  ];
  return helpers.map((each) => `${each}\n\n`).join('');
}

const INT8_TEXT = `/** A whole number of up to 64 bits: all of its digits are sent, of which JSON.parse keeps those of a double. */
type ${INT8} = number;`;
const DIMENSIONS_TEXT = `/** An array of Postgres: of any number of dimensions, and with NULLs, whatever its column says. */
type ${DIMENSIONS}<Item> = (Item | null | ${DIMENSIONS}<Item>)[];`;

/** Of a sink with these tables. */
export const anyMessageText = (tables: readonly NamedTable[]): string =>
  `/** Every message of the sink. */\nexport type ${ANY_MESSAGE} = ${tables.map(({ name }) => name).join(' | ')};`;

// What was chosen here for each part of a filter, beside what a server chooses: each part stands alone, over columns of its operands' types,
// so that nothing of the filter can be folded or run. Pure.
import { escapeLiteral } from 'pg';
import type { Relation } from '../../../core/change.ts';
import {
  arrayOf,
  elementOf,
  isEnum,
  typeName,
  type SqlType,
} from '../../../functions/where/catalog/types.ts';
import type { Operand, ResolvedChoice } from '../../../functions/where/resolved-choice.ts';
import type { Syntax } from '../../../functions/where/syntax.ts';
import { characterCount } from '../../../functions/where/values/texts.ts';
import type { TypeTexts } from './type-texts.ts';

export type Disagreement = {
  readonly message: string;
  /** In the filter's text. */
  readonly at: number;
};

export type Parts = {
  readonly choices: readonly ResolvedChoice[];
  /** `select …`, a column for each choice. */
  readonly text: string;
  /** Which choice stands at a place of it, in characters. */
  choiceAt(place: number): ResolvedChoice;
};

const SCOPE = 'new';

/** Undefined: there is nothing to ask for, or a type is gone since. The same choice is asked for once. */
export function partsOf(all: readonly ResolvedChoice[], texts: TypeTexts): Parts | undefined {
  const choices = [...new Map(all.toReversed().map((choice) => [expressionOf(choice), choice])).values()];
  const types = new Set(choices.flatMap(({ operands }) => operands.map(({ type }) => type)));
  types.delete('unknown');
  const columns: string[] = [];
  for (const type of types) {
    const typeText = textOf(type, texts);
    if (typeText === undefined) return undefined;
    columns.push(`${placeholder(type)} ${typeText}`);
  }
  if (choices.length === 0) return undefined;
  const ends: number[] = [];
  let text = 'select ';
  for (const [i, choice] of choices.entries()) {
    text += `${i === 0 ? '' : ', '}${expressionOf(choice)}`;
    ends.push(characterCount(text));
  }
  const scope = columns.length === 0 ? 'nothing int4' : columns.join(', ');
  return {
    choices,
    text: `${text} from jsonb_to_record('{}'::jsonb) as ${SCOPE}(${scope})`,
    choiceAt: (place) =>
      choices[
        Math.max(
          0,
          ends.findIndex((end) => place < end),
        )
      ]!,
  };
}

const placeholder = (type: SqlType): string => `p_${type.replace(':', '_')}`;

function textOf(type: SqlType, texts: TypeTexts): string | undefined {
  const element = elementOf(type);
  if (element !== undefined && isEnum(element)) {
    const text = textOf(element, texts);
    return text && `${text}[]`;
  }
  return isEnum(type) ? texts.of(Number(type.slice('enum:'.length))) : `pg_catalog.${type}`;
}

const operandText = ({ type, literal }: Operand): string =>
  type !== 'unknown'
    ? `${SCOPE}.${placeholder(type)}`
    : literal === null || literal === undefined
      ? 'null'
      : escapeLiteral(literal).trim();

function expressionOf({ kind, name, operands }: ResolvedChoice): string {
  const texts = operands.map(operandText);
  const [left = '', right = ''] = texts;
  switch (kind) {
    case 'operator':
      return texts.length === 1 ? `(${name} ${left})` : `(${left} ${name} ${right})`;
    case 'function':
      return `pg_catalog."${name}"(${texts.join(', ')})`;
    case 'any':
    case 'all':
      return `(${left} ${name} ${kind} (${right}))`;
    case 'common':
      return `coalesce(${texts.join(', ')})`;
    default:
      return kind satisfies never;
  }
}

/** By the OIDs that the server gives its parts. */
export function comparedTypes(
  { choices }: Parts,
  oids: readonly number[],
  relation: Relation,
): Disagreement | undefined {
  for (const [i, choice] of choices.entries()) {
    const theirs = typeOfOid(oids[i] ?? 0, relation);
    if (theirs === undefined || theirs === choice.result) continue;
    return disagreement(choice, `it is of the type ${theirs} on the server, and ${choice.result} here`);
  }
  return undefined;
}

/** Undefined: not one that a filter has a name for. */
function typeOfOid(oid: number, { types }: Relation): SqlType | undefined {
  const kind = types.get(oid)?.kind;
  return kind === undefined ? typeName(oid) : kind === 'enum' ? `enum:${oid}` : undefined;
}

/**
 * By what the server's plan prints of each part, read back. Undefined for one: it cannot be read, or the server has simplified it. Of
 * what is a function in SQL the plan shows the inside.
 */
export function comparedOperands(
  { choices }: Parts,
  printed: readonly (Syntax | undefined)[],
): Disagreement | undefined {
  const types = new Map(
    choices.flatMap(({ operands }) => operands.map(({ type }) => [placeholder(type), type] as const)),
  );
  for (const [i, choice] of choices.entries()) {
    const theirs = printedOperands(printed[i], choice)?.map((part) => printedType(part, types));
    if (theirs === undefined || theirs.length !== choice.args.length || theirs.includes(undefined)) continue;
    if (isInlined(choice)) continue;
    if (choice.args.every((type, at) => type === theirs[at])) continue;
    return disagreement(
      choice,
      `the server takes (${theirs.join(', ')}) here, and what is evaluated is of (${choice.args.join(', ')})`,
    );
  }
  return undefined;
}

/** With the other operand first, or with a cast. */
const INLINED: ReadonlySet<string> = new Set([
  '+ int4 date', '+ interval date', '+ interval time', '+ interval timestamp', '+ interval timestamptz', '+ time date',
]); // prettier-ignore

const isInlined = ({ name, args }: ResolvedChoice): boolean =>
  INLINED.has([name, ...args].join(' ')) ||
  (name === '||' && args.some((type) => type !== 'text') && args.includes('text'));

function printedOperands(
  printed: Syntax | undefined,
  { kind, name }: ResolvedChoice,
): readonly Syntax[] | undefined {
  if (printed?.kind === 'operator') {
    const { left, right } = printed;
    return kind === 'operator' && printed.name === name ? [...(left ? [left] : []), right] : undefined;
  }
  if (printed?.kind === 'any' || printed?.kind === 'all')
    return kind === printed.kind && printed.name === name ? [printed.left, printed.right] : undefined;
  return printed?.kind === 'call' && kind === 'function' && printed.name === name ? printed.args : undefined;
}

function printedType(part: Syntax, types: ReadonlyMap<string, SqlType>): SqlType | undefined {
  if (part.kind === 'column') return types.get(part.name);
  if (part.kind === 'cast') return part.type.isArray ? arrayOf(part.type.name) : part.type.name;
  return part.kind === 'literal' ? LITERAL_TYPES[part.literal.kind] : undefined;
}

/** Of what is printed without its type. */
const LITERAL_TYPES: Readonly<Record<string, SqlType>> = {
  integer: 'int4',
  decimal: 'numeric',
  boolean: 'bool',
};

const disagreement = ({ at, name }: ResolvedChoice, what: string): Disagreement => ({
  at,
  message: `${name === '' ? '' : `${name}: `}${what}; write the types (x::text)`,
});

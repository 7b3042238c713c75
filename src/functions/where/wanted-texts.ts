// The texts of one column without which no row passes a filter: `customer_id = 17`, `state IN ('new', 'open')`, alone or before an AND. Pure.
// What is found here lets rows be told apart by a look-up instead of by judging each (pipeline/intake/row-index.ts).
import type { Relation } from '../../core/change.ts';
import { isEnum } from './catalog/types.ts';
import { relationScope } from './relation-scope.ts';
import type { Filter, Literal, Syntax } from './syntax.ts';
import type { ScopedColumn } from './scope.ts';

export type WantedTexts = {
  /** Its place in `relation.columns`. */
  readonly column: number;
  /** A row with another text there (and not NULL) is dropped, and nothing else of the filter is looked at. */
  readonly texts: ReadonlySet<string>;
};

/** Undefined: there are none, or that equal texts are equal values is not certain. Asked of a filter that has a meaning for the relation. */
export function wantedTexts({ syntax }: Filter, relation: Relation): WantedTexts | undefined {
  const first = firstCondition(syntax);
  const { operand, literals } = equalities(first) ?? {};
  if (operand?.kind !== 'column' || operand.image !== 'row' || literals === undefined) return undefined;
  const column = relation.columns.findIndex(({ name }) => name === operand.name);
  const scoped = relationScope(relation).column('row', operand.name);
  if (column === -1 || scoped === undefined || typeof scoped === 'string') return undefined;
  const texts = new Set<string>();
  for (const literal of literals) {
    const text = literal.kind === 'literal' ? textOf(literal.literal, scoped, relation) : undefined;
    if (text === undefined) return undefined;
    texts.add(text);
  }
  return { column, texts };
}

/** What is evaluated before everything else: where it is false, so is the whole. */
const firstCondition = (syntax: Syntax): Syntax =>
  syntax.kind === 'and' ? firstCondition(syntax.parts[0]!) : syntax;

function equalities(
  syntax: Syntax,
): { readonly operand: Syntax; readonly literals: readonly Syntax[] } | undefined {
  if (syntax.kind === 'in' && !syntax.negated) return { operand: syntax.operand, literals: syntax.items };
  if (syntax.kind !== 'operator' || syntax.name !== '=' || syntax.left === undefined) return undefined;
  const { left, right } = syntax;
  return left.kind === 'column' ? { operand: left, literals: [right] } : { operand: right, literals: [left] };
}

const INTEGERS: ReadonlySet<string> = new Set(['int2', 'int4', 'int8']);
const CANONICAL_INTEGER = /^(?:0|-?[1-9]\d*)$/;
const CANONICAL_UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/;

/** The one text that Postgres writes for the values that equal the literal. */
function textOf(literal: Literal, { type, collation }: ScopedColumn, relation: Relation): string | undefined {
  if (type === undefined || literal.kind === 'null' || literal.kind === 'boolean') return undefined;
  const text = literal.kind === 'integer' ? String(literal.value) : literal.text;
  if (INTEGERS.has(type)) return CANONICAL_INTEGER.test(text) ? text : undefined;
  if (literal.kind !== 'text') return undefined;
  if (isEnum(type)) return text;
  if (type === 'uuid') return CANONICAL_UUID.test(text) ? text : undefined;
  if (type !== 'text' && type !== 'varchar') return undefined;
  const isByText =
    collation?.facts?.isDeterministic === true && relation.collations?.foreignUnit === undefined;
  return isByText ? text : undefined;
}

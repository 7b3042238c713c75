// Operators, functions and comparisons with lists: the one that Postgres would take is found, and its arguments are made what it takes.
import {
  actualTypes,
  chooseFunction,
  chooseOperator,
  functionNames,
  isFunction,
  isOperator,
  type Candidate,
  type Choice,
} from './catalog/candidates.ts';
import { arrayOf, elementOf, isPolymorphic, type SqlType } from './catalog/types.ts';
import { combine, judgeTexts, lettersOf, type Derived } from './collations.ts';
import { coerce, collationOf, describeType, nodeOf, nullOf } from './coercion.ts';
import { nearestName, didYouMean } from '../../core/nearest-name.ts';
import { WhereRefusal } from './fault.ts';
import { isKnown, strict, type Evaluate, type Node } from './node.ts';
import { CONSTANT_ARGUMENTS } from './operations/constants.ts';
import { inForeignUnits, unknownTexts, type Operation } from './operations/operation.ts';
import { operandOf, type ResolvedChoice } from './resolved-choice.ts';
import { operationOf } from './operations/table.ts';
import { PatternFault } from './patterns/pattern.ts';
import type { Coercing } from './scope.ts';
import { ABSENT, type Result, type SqlArray, type Value } from './values/value.ts';

type Chosen = {
  readonly operation: Operation;
  readonly args: readonly Node[];
  readonly result: SqlType;
  readonly collation: Derived;
};

export function operator(name: string, operands: readonly Node[], at: number, context: Coercing): Node {
  return apply(toldOperator(name, operands, at, context), at, context);
}

export type Comparison = {
  readonly compare: (a: Value, b: Value) => Result;
  /** As the operator takes them. */
  readonly left: Node;
  readonly right: Node;
  /** Of both. */
  readonly collation: Derived;
};

/** `=` or another one where the server looks at both operands, whatever they are. */
export function comparison(
  name: string,
  operands: readonly [Node, Node],
  at: number,
  context: Coercing,
): Comparison {
  const { operation, args, collation } = toldOperator(name, operands, at, context);
  const compare: (a: Value, b: Value) => Result = operation.run as never;
  return { compare, left: args[0]!, right: args[1]!, collation };
}

function toldOperator(name: string, operands: readonly Node[], at: number, context: Coercing): Chosen {
  const chosen = chosenOperator(name, operands, at, context);
  tell(context, { kind: 'operator', name, at }, operands, chosen);
  return chosen;
}

function tell(
  { chosen: tells }: Coercing,
  what: Pick<ResolvedChoice, 'kind' | 'name' | 'at'>,
  operands: readonly Node[],
  { args, result }: Pick<Chosen, 'args' | 'result'>,
): void {
  tells?.({ ...what, operands: operands.map(operandOf), args: args.map(({ type }) => type), result });
}

function chosenOperator(name: string, operands: readonly Node[], at: number, context: Coercing): Chosen {
  if (!isOperator(name))
    throw new WhereRefusal(`the operator ${name} is not on the list of what a filter may have`, at);
  const types = operands.map(({ type }) => type);
  const choice = chooseOperator(name, types);
  const described =
    types.length === 1 ? `${name} ${describeType(types[0]!)}` : types.map(describeType).join(` ${name} `);
  return choose(choice, { what: `the operator ${described}`, at, operands, context });
}

export function call(name: string, operands: readonly Node[], at: number, context: Coercing): Node {
  if (!isFunction(name)) throw unknownFunction(name, at);
  const types = operands.map(({ type }) => type);
  const what = `the function ${name}(${types.map(describeType).join(', ')})`;
  const chosen = choose(chooseFunction(name, types), { what, at, operands, context });
  tell(context, { kind: 'function', name, at }, operands, chosen);
  return apply(chosen, at, context);
}

/** What says another thing at another time, or of another session. */
const CLOCKS: ReadonlySet<string> = new Set([
  'now', 'clock_timestamp', 'statement_timestamp', 'transaction_timestamp', 'timeofday', 'age', 'random', 'to_char', 'current_setting',
]); // prettier-ignore

function unknownFunction(name: string, at: number): WhereRefusal {
  if (CLOCKS.has(name))
    return new WhereRefusal(
      `what ${name}() says depends on when or by whom it is asked; meta.commit_timestamp is the time of the change`,
      at,
    );
  const nearest = didYouMean(nearestName(name, functionNames()));
  return new WhereRefusal(
    `the function ${name}() is not on the list of what a filter may have${nearest}`,
    at,
  );
}

type Choosing = {
  readonly what: string;
  readonly at: number;
  readonly operands: readonly Node[];
  readonly context: Coercing;
};

function choose(choice: Choice, { what, at, operands, context }: Choosing): Chosen {
  if (choice === 'none') throw new WhereRefusal(`there is no such thing as ${what}`, at);
  if (choice === 'several')
    throw new WhereRefusal(`${what} could be more than one; write the types (x::text)`, at);
  const actual = actualTypes(
    choice.args,
    operands.map(({ type }) => type),
  )!;
  if (actual.args.some(isPolymorphic))
    throw new WhereRefusal(
      `nothing says of which type the arguments of ${what} are; write it ('{}'::text[])`,
      at,
    );
  const operation = operationOf(choice, actual.args, context.placesOf);
  if (operation === undefined) throw notListed(choice, what, at);
  const args = operands.map((operand, i) => coerce(operand, actual.args[i]!, context));
  checkConstants(choice, args);
  const result = actual.resultOf(choice.result);
  const collation = combine(args.map((arg) => arg.collation));
  if (collation === 'clash') throw new WhereRefusal('two different COLLATE meet here', at);
  return {
    operation: withTexts(ofConstant(operation, args), collation, at, context),
    args,
    result,
    collation,
  };
}

function notListed({ args }: Candidate, what: string, at: number): WhereRefusal {
  const isZoned =
    args.includes('timestamptz') && args.some((type) => type !== 'timestamptz' && type !== 'interval');
  const cure = isZoned ? "; it depends on the session's time zone: say which one, AT TIME ZONE 'UTC'" : '';
  return new WhereRefusal(`${what} is not on the list of what a filter may have${cure}`, at);
}

function checkConstants({ signature }: Candidate, args: readonly Node[]): void {
  for (const { index, wanted, isKnown: isWanted } of CONSTANT_ARGUMENTS[signature] ?? []) {
    const { constant, at } = args[index]!;
    if (constant === undefined || constant === null || !isWanted(constant))
      throw new WhereRefusal(wanted, at);
  }
}

/** What it does with the constant that it is made of. Of NULL it is nothing. */
function ofConstant(operation: Operation, args: readonly Node[]): Operation {
  if (operation.ofConstant === undefined) return operation;
  const { index, wanted, make } = operation.ofConstant;
  const { constant, at } = args[index]!;
  if (constant === undefined) throw new WhereRefusal(wanted, at);
  if (constant === null) return operation;
  try {
    return make(constant);
  } catch (error) {
    if (error instanceof PatternFault) throw new WhereRefusal(error.message, at);
    throw error;
  }
}

/** The operation as far as the collation of its texts, and the database's encoding, let it be known. */
function withTexts(
  operation: Operation,
  collation: Derived,
  at: number,
  { foreignUnit }: Coercing,
): Operation {
  if (operation.texts === undefined) return inForeignUnits(operation, foreignUnit);
  const judged = judgeTexts(operation.texts, collation);
  if (typeof judged === 'object') throw new WhereRefusal(judged.refused, at);
  if (judged === 'unknown') return unknownTexts;
  const run =
    operation.withLetters === undefined || !('collation' in collation)
      ? operation.run
      : operation.withLetters(lettersOf(collation.collation));
  return inForeignUnits({ ...operation, run }, foreignUnit);
}

function apply({ operation, args, result, collation }: Chosen, at: number, context: Coercing): Node {
  const derived = collationOf(result, collation, context);
  // The server does not look at the others where one is NULL for certain.
  if (args.some(({ constant }) => constant === null))
    return { ...nullOf(result, at, derived), hasColumn: args.some(({ hasColumn }) => hasColumn) };
  return nodeOf({ type: result, at, collation: derived, evaluate: strict(operation, args), parts: args });
}

/** `left op ANY (array)`; `isAny` false: ALL. */
export function withElements(
  { name, isAny, at }: { readonly name: string; readonly isAny: boolean; readonly at: number },
  left: Node,
  right: Node,
  context: Coercing,
): Node {
  const element = right.type === 'unknown' ? 'unknown' : elementOf(right.type);
  if (element === undefined)
    throw new WhereRefusal(`ANY and ALL want an array, not ${describeType(right.type)}`, right.at);
  const stand = { ...right, type: element, constant: element === 'unknown' ? null : undefined };
  const { operation, args, result, collation } = chosenOperator(name, [left, stand], at, context);
  if (result !== 'bool') throw new WhereRefusal(`the operator ${name} does not answer true or false`, at);
  if (operation.ofConstant !== undefined) throw new WhereRefusal(operation.ofConstant.wanted, right.at);
  const array = coerce(right, arrayOf(args[1]!.type), context);
  const parts = [args[0]!, array];
  tell(context, { kind: isAny ? 'any' : 'all', name, at }, [left, right], { args: parts, result });
  const evaluate = overElements(operation, args[0]!.evaluate, array.evaluate, isAny);
  return nodeOf({ type: 'bool', at, collation: collationOf('bool', collation, context), evaluate, parts });
}

function overElements({ run }: Operation, left: Evaluate, array: Evaluate, isAny: boolean): Evaluate {
  const call = run as (a: Value, b: Value) => Result;
  return (row) => {
    const value = left(row);
    const list = array(row);
    if (!isKnown(list)) return list;
    const { elements } = list as SqlArray;
    let result: Result = !isAny;
    if (elements.length === 0) return result;
    if (value === null) return null;
    for (const element of elements) {
      const found = element === null ? null : value === ABSENT ? ABSENT : call(value, element);
      if (found === isAny) return isAny;
      if (found === ABSENT) result = ABSENT;
      else if (found === null && result !== ABSENT) result = null;
    }
    return result;
  };
}

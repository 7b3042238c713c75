// Parts of a filter that are one of several: arms of CASE, COALESCE, lists; and the type and collation that they share. Pure.
import { commonType } from './catalog/candidates.ts';
import { arrayOf, type SqlType } from './catalog/types.ts';
import { combine, type Derived } from './collations.ts';
import { coerce, collationOf, describeType, nodeOf, nullOf } from './coercion.ts';
import { WhereRefusal } from './fault.ts';
import type { Evaluate, Node } from './node.ts';
import { operandOf } from './resolved-choice.ts';
import type { Coercing, Scope } from './scope.ts';
import { listOf } from './values/arrays.ts';
import { ABSENT, type Value } from './values/value.ts';

export function common(nodes: readonly Node[], what: string, at: number, scope: Coercing): SqlType {
  const type = commonType(nodes.map((node) => node.type));
  if (type === undefined)
    throw new WhereRefusal(
      `the types of ${what} do not fit together: ${nodes.map((node) => describeType(node.type)).join(', ')}`,
      at,
    );
  tellCommon(nodes, type, at, scope);
  return type;
}

export function tellCommon(nodes: readonly Node[], type: SqlType, at: number, { chosen }: Coercing): void {
  const operands = nodes.map(operandOf);
  chosen?.({ kind: 'common', name: '', operands, args: operands.map(() => type), result: type, at });
}

export function listNode(items: readonly Node[], type: SqlType, at: number, scope: Scope): Node {
  const nodes = items.map((item) => coerce(item, type, scope));
  const evaluates = nodes.map(({ evaluate }) => evaluate);
  const evaluate: Evaluate = (row) => {
    const values = evaluates.map((item) => item(row));
    return values.includes(ABSENT) ? ABSENT : listOf(values as (Value | null)[]);
  };
  const array = arrayOf(type);
  return nodeOf({
    type: array,
    at,
    collation: collationOf(array, combined(nodes, at), scope),
    evaluate,
    parts: nodes,
  });
}

export function combined(nodes: readonly Node[], at: number): Derived {
  const collation = combine(nodes.map((node) => node.collation));
  if (collation === 'clash') throw new WhereRefusal('two different COLLATE meet here', at);
  return collation;
}

/** As the server does before it looks at rows: an arm that is never met goes, and one that is always met is the last. */
export function simplifiedCase(written: {
  readonly tests: readonly Node[];
  readonly values: readonly Node[];
  readonly fallback: Node;
  readonly at: number;
  readonly collation: Derived;
}): Node {
  const { tests, values, at, collation } = written;
  const certain = tests.findIndex(({ constant }) => constant === true);
  const fallback = certain === -1 ? written.fallback : values[certain]!;
  const arms = tests
    .slice(0, certain === -1 ? undefined : certain)
    .flatMap((test, i) => (test.constant === undefined ? [{ test, value: values[i]! }] : []));
  if (arms.length === 0) return { ...fallback, at, collation };
  const evaluate: Evaluate = (row) => {
    for (let i = 0; i < arms.length; i++) {
      const { test, value } = arms[i]!;
      const isMet = test.evaluate(row);
      if (isMet === ABSENT) return ABSENT;
      if (isMet === true) return value.evaluate(row);
    }
    return fallback.evaluate(row);
  };
  const parts = [...arms.flatMap(({ test, value }) => [test, value]), fallback];
  return nodeOf({ type: fallback.type, at, collation, evaluate, parts });
}

export function coalesceNode(nodes: readonly Node[], at: number, scope: Scope): Node {
  const type = common(nodes, 'COALESCE', at, scope);
  const values = nodes.map((node) => coerce(node, type, scope));
  const collation = combined(values, at);
  const hasColumn = values.some((value) => value.hasColumn);
  // As the server does before it looks at rows: NULLs go, and behind a constant nothing is asked.
  const asked = values.filter(({ constant }) => constant !== null);
  const certain = asked.findIndex(({ constant }) => constant !== undefined);
  const kept = certain === -1 ? asked : asked.slice(0, certain + 1);
  if (kept.length === 0) return { ...nullOf(type, at, collation), hasColumn };
  if (kept.length === 1) return { ...kept[0]!, at, collation, hasColumn };
  const evaluate: Evaluate = (row) => {
    for (const value of kept) {
      const result = value.evaluate(row);
      if (result !== null) return result;
    }
    return null;
  };
  return nodeOf({ type, at, collation, evaluate, parts: kept });
}

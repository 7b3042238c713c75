// Parts of a filter that are true or false, and several of them joined by AND or OR. Pure.
import { NO_COLLATION } from './collations.ts';
import { nodeOf } from './coercion.ts';
import { all, any, type Evaluate, type Node } from './node.ts';

export const condition = (at: number, evaluate: Evaluate, parts: readonly Node[]): Node =>
  nodeOf({ type: 'bool', at, collation: NO_COLLATION, evaluate, parts });

/** As the server does before it looks at rows: a constant that decides takes the others with it, and their errors. */
export function decided(kind: 'and' | 'or', nodes: readonly Node[], at: number): Node {
  const deciding = kind === 'or';
  const hasColumn = nodes.some((node) => node.hasColumn);
  if (nodes.some(({ constant }) => constant === deciding))
    return { ...condition(at, () => deciding, []), hasColumn };
  const kept = nodes.filter(({ constant }) => constant !== !deciding);
  const evaluates = kept.map(({ evaluate }) => evaluate);
  return { ...condition(at, kind === 'and' ? all(evaluates) : any(evaluates), kept), hasColumn };
}

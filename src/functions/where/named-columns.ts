// Which columns a filter names, of the row before or after the change.
import type { Syntax } from './syntax.ts';

/** Each as often as it is named, `meta.` too. */
export function columnsIn(syntax: unknown): string[] {
  if (typeof syntax !== 'object' || syntax === null) return [];
  const { kind, name } = syntax as Partial<Extract<Syntax, { kind: 'column' }>>;
  const own = kind === 'column' && name !== undefined ? [name] : [];
  return [...own, ...Object.values(syntax).flatMap(columnsIn)];
}

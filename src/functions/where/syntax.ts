// A filter as it is written, before its types are known: plain values that cross threads. Each part knows its place in the text.

/** `row`: the row after the change, of a delete the old one. `meta`: what is known of the change itself. */
export type Image = 'row' | 'new' | 'old' | 'meta';

export type Literal =
  | { readonly kind: 'null' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  /** Without a sign and a point, within int4. */
  | { readonly kind: 'integer'; readonly value: number }
  /** All other numbers, as they are written. */
  | { readonly kind: 'decimal'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string };

export type TypeName = {
  /** As pg_type has it: `int4`, `bpchar`. */
  readonly name: string;
  readonly isArray: boolean;
  /** `numeric(10,2)`: [10, 2]. */
  readonly modifiers: readonly number[];
  readonly at: number;
};

type Part<Kind extends string, Rest> = { readonly kind: Kind; readonly at: number } & Readonly<Rest>;

export type Syntax =
  | Part<'literal', { literal: Literal }>
  | Part<'column', { image: Image; name: string }>
  | Part<'operator', { name: string; left: Syntax | undefined; right: Syntax }>
  | Part<'and', { parts: readonly Syntax[] }>
  | Part<'or', { parts: readonly Syntax[] }>
  | Part<'not', { operand: Syntax }>
  | Part<'is-null', { negated: boolean; operand: Syntax }>
  | Part<'is-truth', { truth: boolean | null; negated: boolean; operand: Syntax }>
  | Part<'distinct', { negated: boolean; left: Syntax; right: Syntax }>
  | Part<'nullif', { left: Syntax; right: Syntax }>
  | Part<'in', { negated: boolean; operand: Syntax; items: readonly Syntax[] }>
  | Part<'between', { negated: boolean; symmetric: boolean; operand: Syntax; low: Syntax; high: Syntax }>
  | Part<'any' | 'all', { name: string; left: Syntax; right: Syntax }>
  | Part<
      'case',
      {
        subject: Syntax | undefined;
        arms: readonly { readonly when: Syntax; readonly result: Syntax }[];
        otherwise: Syntax | undefined;
      }
    >
  | Part<'coalesce', { parts: readonly Syntax[] }>
  | Part<'extreme', { isGreatest: boolean; parts: readonly Syntax[] }>
  /** `<`, `<=`, `>` or `>=` of two rows of as many parts. */
  | Part<'rows', { name: string; left: readonly Syntax[]; right: readonly Syntax[] }>
  | Part<'subscript', { operand: Syntax; indexes: readonly Syntax[] }>
  | Part<'call', { name: string; args: readonly Syntax[] }>
  | Part<'cast', { operand: Syntax; type: TypeName }>
  | Part<'array', { items: readonly Syntax[] }>
  | Part<'collate', { operand: Syntax; collation: string }>;

/** A filter that was parsed. */
export type Filter = { readonly text: string; readonly syntax: Syntax };

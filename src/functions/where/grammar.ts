// Which of Postgres' syntax a filter may have: from the parser's tree to ours. What is not named here is refused.
// https://github.com/postgres/postgres/blob/master/src/include/nodes/parsenodes.h
import type {
  A_Const,
  A_Expr,
  A_Indirection,
  BooleanTest,
  BoolExpr,
  CaseExpr,
  ColumnRef,
  FuncCall,
  Node,
  TypeName as PgTypeName,
} from '@pgsql/types';
import { WhereRefusal } from './fault.ts';
import type { Image, Literal, Syntax, TypeName } from './syntax.ts';

export const MAX_FILTER_DEPTH = 200;

type PlaceOf = (offset: number) => number;

/** `placeOf`: from the parser's offsets to places in the filter's text. Throws WhereRefusal. */
export function readExpression(node: Node, placeOf: PlaceOf): Syntax {
  return read(node, 0, 0);

  /** `around`: the place of what holds it, for parts that have none of their own. */
  function read(node: Node | undefined, around: number, depth: number): Syntax {
    if (depth > MAX_FILTER_DEPTH)
      throw new WhereRefusal(`a filter is at most ${MAX_FILTER_DEPTH} levels deep`, around);
    const [tag, content] = Object.entries(node ?? {})[0] ?? ['nothing', {}];
    const { location } = content as { readonly location?: number };
    const at = location === undefined || location < 0 ? around : placeOf(location);
    const below = (part: Node | undefined): Syntax => read(part, at, depth + 1);
    const all = (parts: readonly Node[] = []): Syntax[] => parts.map(below);
    if (node === undefined) throw refused('this', at);
    if ('A_Const' in node) return { kind: 'literal', at, literal: literalOf(node.A_Const, at) };
    if ('ColumnRef' in node) return columnOf(node.ColumnRef, at);
    if ('A_Expr' in node) return operation(node.A_Expr, at, below);
    if ('BoolExpr' in node) return logic(node.BoolExpr, at, below);
    if ('NullTest' in node) {
      const { arg, nulltesttype } = node.NullTest;
      return { kind: 'is-null', at, negated: nulltesttype === 'IS_NOT_NULL', operand: below(arg) };
    }
    if ('BooleanTest' in node) return truthTest(node.BooleanTest, at, below);
    if ('CaseExpr' in node) return caseOf(node.CaseExpr, at, below);
    if ('CoalesceExpr' in node) return { kind: 'coalesce', at, parts: all(node.CoalesceExpr.args) };
    if ('MinMaxExpr' in node) {
      const { op, args } = node.MinMaxExpr;
      return { kind: 'extreme', at, isGreatest: op === 'IS_GREATEST', parts: all(args) };
    }
    if ('A_Indirection' in node) return subscriptOf(node.A_Indirection, at, below);
    if ('FuncCall' in node) return callOf(node.FuncCall, at, all);
    if ('TypeCast' in node) {
      const { arg, typeName } = node.TypeCast;
      const type = typeOf(typeName, at, placeOf);
      return { kind: 'cast', at: location === -1 ? type.at : at, operand: below(arg), type };
    }
    if ('A_ArrayExpr' in node) return { kind: 'array', at, items: all(node.A_ArrayExpr.elements) };
    if ('CollateClause' in node) {
      const { arg, collname } = node.CollateClause;
      return { kind: 'collate', at, operand: below(arg), collation: nameOf(collname, at) };
    }
    throw refused(NAMES_OF_OTHERS[tag] ?? `this (${tag})`, at);
  }
}

const refused = (what: string, at: number): WhereRefusal =>
  new WhereRefusal(`${what} cannot stand in a filter`, at);

const NAMES_OF_OTHERS: Readonly<Record<string, string>> = {
  SubLink: 'a subquery',
  ParamRef: 'a parameter',
  RowExpr: 'a row of several values (but beside another one: (a, b) = (1, 2), (a, b) in ((1, 2)))',
  SQLValueFunction:
    'a value that depends on when and by whom it is asked for (meta.commit_timestamp is the time of the change)',
  SetToDefault: 'DEFAULT',
  GroupingFunc: 'GROUPING',
  XmlExpr: 'XML',
  XmlSerialize: 'XML',
};

type Below = (part: Node | undefined) => Syntax;

function literalOf({ ival, fval, boolval, sval, bsval, isnull }: A_Const, at: number): Literal {
  if (isnull === true) return { kind: 'null' };
  if (ival !== undefined) return { kind: 'integer', value: ival.ival ?? 0 };
  if (fval !== undefined) return { kind: 'decimal', text: fval.fval ?? '0' };
  if (boolval !== undefined) return { kind: 'boolean', value: boolval.boolval ?? false };
  if (sval !== undefined) return { kind: 'text', text: sval.sval ?? '' };
  throw refused(bsval === undefined ? 'this constant' : 'a bit string', at);
}

const IMAGES: ReadonlySet<string> = new Set<Image>(['new', 'old', 'meta']);

function columnOf({ fields = [] }: ColumnRef, at: number): Syntax {
  if (fields.some((field) => !('String' in field))) throw refused('`*`', at);
  const names = stringsOf(fields);
  const [first = '', second] = names;
  if (names.length === 1) return { kind: 'column', at, image: 'row', name: first };
  if (names.length === 2 && IMAGES.has(first))
    return { kind: 'column', at, image: first as Image, name: second! };
  throw new WhereRefusal(
    `"${names.join('.')}" is not known here: a column stands by itself, or behind new., old. or meta.`,
    at,
  );
}

function operation(expression: A_Expr, at: number, below: Below): Syntax {
  const { kind, lexpr, rexpr } = expression;
  switch (kind) {
    case 'AEXPR_OP':
    case 'AEXPR_LIKE':
    case 'AEXPR_SIMILAR':
    case 'AEXPR_ILIKE': {
      const name = nameOf(expression.name, at);
      const rows = rowsIn(lexpr, rexpr);
      if (rows !== undefined) return comparedRows(name, rows, at, below);
      return { kind: 'operator', at, name, left: lexpr && below(lexpr), right: below(rexpr) };
    }
    case 'AEXPR_OP_ANY':
    case 'AEXPR_OP_ALL': {
      const name = nameOf(expression.name, at);
      return {
        kind: kind === 'AEXPR_OP_ANY' ? 'any' : 'all',
        at,
        name,
        left: below(lexpr),
        right: below(rexpr),
      };
    }
    case 'AEXPR_DISTINCT':
    case 'AEXPR_NOT_DISTINCT':
      return {
        kind: 'distinct',
        at,
        negated: kind === 'AEXPR_NOT_DISTINCT',
        left: below(lexpr),
        right: below(rexpr),
      };
    case 'AEXPR_NULLIF':
      return { kind: 'nullif', at, left: below(lexpr), right: below(rexpr) };
    case 'AEXPR_IN': {
      if (lexpr !== undefined && 'RowExpr' in lexpr) return rowInList(expression, at, below);
      const items = itemsOf(rexpr).map(below);
      return { kind: 'in', at, negated: nameOf(expression.name, at) === '<>', operand: below(lexpr), items };
    }
    case 'AEXPR_BETWEEN':
    case 'AEXPR_NOT_BETWEEN':
    case 'AEXPR_BETWEEN_SYM':
    case 'AEXPR_NOT_BETWEEN_SYM': {
      const [low, high] = itemsOf(rexpr).map(below);
      const negated = kind.startsWith('AEXPR_NOT');
      return {
        kind: 'between',
        at,
        negated,
        symmetric: kind.endsWith('_SYM'),
        operand: below(lexpr),
        low: low!,
        high: high!,
      };
    }
    case undefined:
    default:
      throw refused('this operator', at);
  }
}

type Rows = { readonly left: readonly Node[]; readonly right: readonly Node[] };

function rowsIn(left: Node | undefined, right: Node | undefined): Rows | undefined {
  if (left === undefined || right === undefined || !('RowExpr' in left) || !('RowExpr' in right))
    return undefined;
  return { left: left.RowExpr.args ?? [], right: right.RowExpr.args ?? [] };
}

/** `make_row_comparison_op` of parse_expr.c: of `=` and `<>` the parts by themselves. */
function comparedRows(name: string, { left, right }: Rows, at: number, below: Below): Syntax {
  if (left.length !== right.length) throw new WhereRefusal('the two rows have not as many values', at);
  if (left.length === 0) throw refused('a row without values', at);
  if (name === '=' || name === '<>') {
    const parts = left.map((part, i): Syntax => {
      return { kind: 'operator', at, name, left: below(part), right: below(right[i]) };
    });
    return { kind: name === '=' ? 'and' : 'or', at, parts };
  }
  if (!ROW_ORDERS.has(name)) throw refused(`${name} of two rows`, at);
  return { kind: 'rows', at, name, left: left.map(below), right: right.map(below) };
}

const ROW_ORDERS: ReadonlySet<string> = new Set(['<', '<=', '>', '>=']);

function rowInList({ name, lexpr, rexpr }: A_Expr, at: number, below: Below): Syntax {
  const operator = nameOf(name, at);
  const parts = itemsOf(rexpr).map((item) => {
    const rows = rowsIn(lexpr, item);
    if (rows === undefined) throw new WhereRefusal('a row of values is expected in this list', at);
    return comparedRows(operator, rows, at, below);
  });
  return { kind: operator === '<>' ? 'and' : 'or', at, parts };
}

/** One element: `tags[1]`. */
function subscriptOf({ arg, indirection = [] }: A_Indirection, at: number, below: Below): Syntax {
  const indexes = indirection.map((part) => {
    if (!('A_Indices' in part) || part.A_Indices.is_slice === true)
      throw refused('a field or a slice of a value', at);
    return below(part.A_Indices.uidx);
  });
  return { kind: 'subscript', at, operand: below(arg), indexes };
}

const itemsOf = (node: Node | undefined): readonly Node[] =>
  node !== undefined && 'List' in node ? (node.List.items ?? []) : [];

function logic({ boolop, args = [] }: BoolExpr, at: number, below: Below): Syntax {
  switch (boolop) {
    case 'AND_EXPR':
      return { kind: 'and', at, parts: args.map(below) };
    case 'OR_EXPR':
      return { kind: 'or', at, parts: args.map(below) };
    case 'NOT_EXPR':
      return { kind: 'not', at, operand: below(args[0]) };
    case undefined:
    default:
      throw refused('this', at);
  }
}

const TRUTHS: Readonly<Record<string, { readonly truth: boolean | null; readonly negated: boolean }>> = {
  IS_TRUE: { truth: true, negated: false },
  IS_NOT_TRUE: { truth: true, negated: true },
  IS_FALSE: { truth: false, negated: false },
  IS_NOT_FALSE: { truth: false, negated: true },
  IS_UNKNOWN: { truth: null, negated: false },
  IS_NOT_UNKNOWN: { truth: null, negated: true },
};

function truthTest({ arg, booltesttype = 'IS_TRUE' }: BooleanTest, at: number, below: Below): Syntax {
  return { kind: 'is-truth', at, ...TRUTHS[booltesttype]!, operand: below(arg) };
}

function caseOf({ arg, args = [], defresult }: CaseExpr, at: number, below: Below): Syntax {
  const arms = args.map((arm) => {
    const { expr, result } = 'CaseWhen' in arm ? arm.CaseWhen : {};
    return { when: below(expr), result: below(result) };
  });
  return { kind: 'case', at, subject: arg && below(arg), arms, otherwise: defresult && below(defresult) };
}

function callOf(call: FuncCall, at: number, all: (parts?: readonly Node[]) => Syntax[]): Syntax {
  const { funcname, args, funcformat: _, location: __, ...others } = call;
  const name = nameOf(funcname, at);
  if (Object.keys(others).length > 0)
    throw refused(call.over === undefined ? `what an aggregate has (${name})` : 'a window function', at);
  return { kind: 'call', at, name, args: all(args) };
}

/** Of pg_catalog, or without a schema. */
function nameOf(parts: readonly Node[] | undefined, at: number): string {
  const names = stringsOf(parts);
  if (names.length === 1) return names[0]!;
  if (names.length === 2 && names[0] === 'pg_catalog') return names[1]!;
  throw new WhereRefusal(`"${names.join('.')}" is not known here: a filter knows what pg_catalog has`, at);
}

const stringsOf = (nodes: readonly Node[] = []): string[] =>
  nodes.map((node) => ('String' in node ? (node.String.sval ?? '') : ''));

function typeOf(type: PgTypeName | undefined, around: number, placeOf: PlaceOf): TypeName {
  const at = type?.location === undefined || type.location < 0 ? around : placeOf(type.location);
  if (type === undefined || type.setof === true || type.pct_type === true) throw refused('this type', at);
  const { names, typmods = [], arrayBounds = [] } = type;
  const modifiers = typmods.map((node) => {
    if ('A_Const' in node && node.A_Const.ival !== undefined) return node.A_Const.ival.ival ?? 0;
    throw refused('this modifier of a type', at);
  });
  const name = names?.length === 1 && stringsOf(names)[0] === 'char' ? '"char"' : nameOf(names, at);
  return { name: ALIASES[name] ?? name, isArray: arrayBounds.length > 0, modifiers, at };
}

/** Written in quotation marks it is a type of its own: with a schema, bpchar. */
const ALIASES: Readonly<Record<string, string>> = { decimal: 'numeric' };

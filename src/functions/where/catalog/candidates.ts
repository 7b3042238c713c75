// Which operator or function is meant: Postgres' own rules, over everything that its catalog has of the name. Pure.
// https://www.postgresql.org/docs/current/typeconv-oper.html https://www.postgresql.org/docs/current/typeconv-func.html
import { FUNCTIONS, OPERATORS } from './server-data.ts';
import {
  arrayOf,
  categoryOf,
  elementOf,
  isEnum,
  isImplicit,
  isPolymorphic,
  isPreferred,
  linesOf,
  type SqlType,
} from './types.ts';

export type Candidate = {
  /** Names its implementation: `= int4 int4`, `lower text`. */
  readonly signature: string;
  readonly args: readonly SqlType[];
  readonly result: SqlType;
};

/** `none`: nothing takes these types. `several`: more than one does, and none is better. */
export type Choice = Candidate | 'none' | 'several';

const OPERATORS_BY_NAME = new Map<string, Candidate[]>();
for (const [name, left, right, result] of linesOf(OPERATORS)) {
  const args = left === '-' ? [right!] : [left!, right!];
  add(OPERATORS_BY_NAME, name!, { signature: [name, ...args].join(' '), args, result: result! });
}

const FUNCTIONS_BY_NAME = new Map<string, Candidate[]>();
for (const [name, result, ...args] of linesOf(FUNCTIONS))
  add(FUNCTIONS_BY_NAME, name!, { signature: [name, ...args].join(' '), args, result: result! });

function add(map: Map<string, Candidate[]>, name: string, candidate: Candidate): void {
  map.set(name, [...(map.get(name) ?? []), candidate]);
}

export const isOperator = (name: string): boolean => OPERATORS_BY_NAME.has(name);
export const isFunction = (name: string): boolean => FUNCTIONS_BY_NAME.has(name);
export const functionNames = (): Iterable<string> => FUNCTIONS_BY_NAME.keys();

/** `oper` of parse_oper.c. */
export function chooseOperator(name: string, types: readonly SqlType[]): Choice {
  const candidates = (OPERATORS_BY_NAME.get(name) ?? []).filter(({ args }) => args.length === types.length);
  const known = types.find((type) => type !== 'unknown');
  // A literal beside a value is first taken for one of the same type.
  const assumed = known === undefined ? types : types.map((type) => (type === 'unknown' ? known : type));
  const exact = candidates.find(({ args }) => isSame(args, assumed));
  return exact ?? chooseBest(candidates, types);
}

/** `func_get_detail` of parse_func.c. */
export function chooseFunction(name: string, types: readonly SqlType[]): Choice {
  const candidates = (FUNCTIONS_BY_NAME.get(name) ?? []).filter(({ args }) => args.length === types.length);
  return candidates.find(({ args }) => isSame(args, types)) ?? chooseBest(candidates, types);
}

const isSame = (a: readonly SqlType[], b: readonly SqlType[]): boolean => a.every((type, i) => type === b[i]);

function chooseBest(all: readonly Candidate[], types: readonly SqlType[]): Choice {
  const fitting = all.filter(({ args }) => isCallable(args, types));
  if (fitting.length === 0) return 'none';
  return fitting.length === 1 ? fitting[0]! : (selectCandidate(fitting, types) ?? 'several');
}

const isCallable = (args: readonly SqlType[], types: readonly SqlType[]): boolean =>
  args.every((arg, i) => isImplicit(types[i]!, arg)) && actualTypes(args, types) !== undefined;

/** `func_select_candidate` of parse_func.c, step by step. */
function selectCandidate(fitting: readonly Candidate[], types: readonly SqlType[]): Candidate | undefined {
  const exact = mostMatches(fitting, types, (arg, type) => arg === type);
  if (exact.length === 1) return exact[0];
  const preferred = mostMatches(
    exact,
    types,
    (arg, type) => arg === type || (isPreferred(arg) && categoryOf(arg) === categoryOf(type)),
  );
  if (preferred.length === 1) return preferred[0];
  if (!types.includes('unknown')) return undefined;
  const left = byCategoryOfUnknown(preferred, types);
  if (left.length === 1) return left[0];
  const known = new Set(types.filter((type) => type !== 'unknown'));
  if (known.size !== 1) return undefined;
  const [type] = known;
  const taking = left.filter(({ args }) =>
    isCallable(
      args,
      args.map(() => type!),
    ),
  );
  return taking.length === 1 ? taking[0] : undefined;
}

function mostMatches(
  candidates: readonly Candidate[],
  types: readonly SqlType[],
  isMatch: (arg: SqlType, type: SqlType) => boolean,
): readonly Candidate[] {
  const counts = candidates.map(
    ({ args }) => args.filter((arg, i) => types[i] !== 'unknown' && isMatch(arg, types[i]!)).length,
  );
  const most = Math.max(...counts);
  return candidates.filter((_, i) => counts[i] === most);
}

/** Literals are texts where one candidate takes texts there; else of the one category that all candidates want. */
function byCategoryOfUnknown(
  candidates: readonly Candidate[],
  types: readonly SqlType[],
): readonly Candidate[] {
  const wanted = new Map<number, { readonly category: string; readonly preferred: boolean }>();
  for (const [i, type] of types.entries()) {
    if (type !== 'unknown') continue;
    const categories = new Set(candidates.map(({ args }) => categoryOf(args[i]!)));
    if (categories.size > 1 && !categories.has('S')) return candidates;
    const category = categories.has('S') ? 'S' : [...categories][0]!;
    const preferred = candidates.some(
      ({ args }) => categoryOf(args[i]!) === category && isPreferred(args[i]!),
    );
    wanted.set(i, { category, preferred });
  }
  const kept = candidates.filter(({ args }) =>
    [...wanted].every(
      ([i, { category, preferred }]) =>
        categoryOf(args[i]!) === category && (!preferred || isPreferred(args[i]!)),
    ),
  );
  return kept.length > 0 ? kept : candidates;
}

/**
 * What the declared types are for these arguments, polymorphic ones replaced; undefined: they do not fit together.
 * https://www.postgresql.org/docs/current/extend-type-system.html#EXTEND-TYPES-POLYMORPHIC
 */
export function actualTypes(
  args: readonly SqlType[],
  types: readonly SqlType[],
): { readonly args: readonly SqlType[]; resultOf(declared: SqlType): SqlType } | undefined {
  if (!args.some(isPolymorphic)) return { args, resultOf: (declared) => declared };
  if (args.some((arg) => arg.startsWith('anycompatible'))) return compatibleTypes(args, types);
  let element: SqlType | undefined;
  for (const [i, arg] of args.entries()) {
    const type = types[i]!;
    if (!isPolymorphic(arg) || type === 'unknown') continue;
    // Of ranges there are none here.
    const found = arg === 'anyarray' ? elementOf(type) : isElement(arg, type) ? type : undefined;
    if (found === undefined || (element !== undefined && element !== found)) return undefined;
    element = found;
  }
  const unresolved = args.every((arg, i) => !isPolymorphic(arg) || types[i] === 'unknown');
  // All of them literals: nothing says what they are, which the server refuses later.
  if (element === undefined) return unresolved ? { args, resultOf: (declared) => declared } : undefined;
  const known = element;
  const actual = (declared: SqlType): SqlType =>
    !isPolymorphic(declared) ? declared : declared === 'anyarray' ? arrayOf(known) : known;
  return { args: args.map(actual), resultOf: actual };
}

const isElement = (polymorphic: SqlType, type: SqlType): boolean =>
  polymorphic === 'anyelement' ||
  (polymorphic === 'anynonarray' && elementOf(type) === undefined) ||
  (polymorphic === 'anyenum' && isEnum(type));

function compatibleTypes(
  args: readonly SqlType[],
  types: readonly SqlType[],
): ReturnType<typeof actualTypes> {
  const elements: SqlType[] = [];
  for (const [i, arg] of args.entries()) {
    const type = types[i]!;
    if (!arg.startsWith('anycompatible') || type === 'unknown') continue;
    const element = arg === 'anycompatiblearray' ? elementOf(type) : type;
    if (element === undefined || arg.endsWith('range')) return undefined;
    elements.push(element);
  }
  const common = commonType(elements);
  if (common === undefined || elements.some((element) => !isImplicit(element, common))) return undefined;
  const actual = (declared: SqlType): SqlType =>
    declared === 'anycompatiblearray'
      ? arrayOf(common)
      : declared.startsWith('anycompatible')
        ? common
        : declared;
  return { args: args.map(actual), resultOf: actual };
}

/** `select_common_type` of parse_coerce.c; undefined: there is none. */
export function commonType(types: readonly SqlType[]): SqlType | undefined {
  if (types.length > 0 && types[0] !== 'unknown' && types.every((type) => type === types[0])) return types[0];
  let common: SqlType = 'unknown';
  for (const type of types) {
    if (type === 'unknown' || type === common) continue;
    if (common === 'unknown') common = type;
    else if (categoryOf(type) !== categoryOf(common)) return undefined;
    else if (!isPreferred(common) && isImplicit(common, type) && !isImplicit(type, common)) common = type;
  }
  return common === 'unknown' ? 'text' : common;
}

// The types that a filter's expressions may have, named as pg_type names them, and which of them turn into which. Pure.
// https://www.postgresql.org/docs/current/typeconv.html
import { CASTS, TYPES } from './server-data.ts';

/** `int4`, `_int4` (its array); `unknown` (a literal); an enum by its OID: `enum:16400`, its array `_enum:16400`. */
export type SqlType = string;

type CatalogType = {
  readonly category: string;
  readonly preferred: boolean;
  readonly element: SqlType | undefined;
};

export const linesOf = (data: string): string[][] =>
  data
    .trim()
    .split('\n')
    .map((line) => line.split(' '));

const BY_NAME = new Map<SqlType, CatalogType>();
const NAMES = new Map<number, SqlType>();
for (const [oid, name, category, element] of linesOf(TYPES)) {
  BY_NAME.set(name!, { category: category![0]!, preferred: category!.endsWith('!'), element });
  NAMES.set(Number(oid), name!);
}

type CastContext = 'i' | 'a' | 'e';
const CAST_CONTEXTS = new Map(
  linesOf(CASTS).map(([source, target, context]) => [`${source} ${target}`, context as CastContext]),
);

/** Of a built-in type; undefined: there is none of this OID. */
export const typeName = (oid: number): SqlType | undefined => NAMES.get(oid);

export const isEnum = (type: SqlType): boolean => type.startsWith('enum:');
export const arrayOf = (element: SqlType): SqlType => `_${element}`;
export const isKnownType = (type: SqlType): boolean => isEnum(type) || BY_NAME.has(type) || isEnumArray(type);
const isEnumArray = (type: SqlType): boolean => type.startsWith('_enum:');

export function elementOf(type: SqlType): SqlType | undefined {
  return isEnumArray(type) ? type.slice(1) : BY_NAME.get(type)?.element;
}

/** https://www.postgresql.org/docs/current/catalog-pg-type.html#CATALOG-TYPCATEGORY-TABLE */
export function categoryOf(type: SqlType): string {
  if (isEnum(type)) return 'E';
  if (isEnumArray(type)) return 'A';
  return BY_NAME.get(type)?.category ?? (type === 'unknown' ? 'X' : 'U');
}

export const isPreferred = (type: SqlType): boolean => BY_NAME.get(type)?.preferred ?? false;

/** As pg_cast has it. */
export const castContext = (source: SqlType, target: SqlType): CastContext | undefined =>
  CAST_CONTEXTS.get(`${source} ${target}`);

const POLYMORPHIC: ReadonlySet<SqlType> = new Set([
  'anyelement', 'anyarray', 'anynonarray', 'anyenum', 'anyrange', 'anymultirange',
  'anycompatible', 'anycompatiblearray', 'anycompatiblenonarray', 'anycompatiblerange', 'anycompatiblemultirange',
]); // prettier-ignore

export const isPolymorphic = (type: SqlType): boolean => POLYMORPHIC.has(type);

/** Does a value of `source` become one of `target` by itself? A literal becomes anything. */
export function isImplicit(source: SqlType, target: SqlType): boolean {
  if (source === target || target === 'any' || source === 'unknown' || isPolymorphic(target)) return true;
  if (castContext(source, target) === 'i') return true;
  // Arrays become arrays as their elements do; these two are none for that (`find_coercion_pathway` of parse_coerce.c).
  if (target === 'oidvector' || target === 'int2vector') return false;
  const [from, to] = [elementOf(source), elementOf(target)];
  return from !== undefined && to !== undefined && isImplicit(from, to);
}

// Random typed expressions over everything that a filter may have, for the comparison with Postgres itself.
import * as fc from 'fast-check';
import { FUNCTIONS, OPERATORS } from '../../src/functions/where/catalog/server-data.ts';
import { signatures } from '../../src/functions/where/operations/table.ts';

/** One column of the compared table for each; `label`: what stands in the expression's types. */
export const COLUMN_TYPES = {
  c_bool: 'bool',
  c_int2: 'int2',
  c_int4: 'int4',
  c_int8: 'int8',
  c_numeric: 'numeric',
  c_float4: 'float4',
  c_float8: 'float8',
  c_text: 'text',
  c_textc: 'text collate "C"',
  c_letters: 'text',
  c_varchar: 'varchar',
  c_bpchar: 'char(4)',
  c_uuid: 'uuid',
  c_bytea: 'bytea',
  c_time: 'time',
  c_interval: 'interval',
  c_date: 'date',
  c_timestamp: 'timestamp',
  c_timestamptz: 'timestamptz',
  c_jsonb: 'jsonb',
  c_json: 'json',
  c_ints: 'int4[]',
  c_texts: 'text[] collate "C"',
  c_mood: 'mood',
} as const;

export const MOODS = ['sad', 'ok', 'happy', 'Zen'];

type Column = keyof typeof COLUMN_TYPES;
type Type =
  | 'bool' | 'int2' | 'int4' | 'int8' | 'numeric' | 'float4' | 'float8' | 'text' | 'varchar' | 'bpchar' | 'uuid' | 'bytea' | 'time' | 'interval' | 'date'
  | 'timestamp' | 'timestamptz' | 'jsonb' | 'json' | '_int4' | '_text' | 'mood'; // prettier-ignore

const COLUMNS_OF: Readonly<Record<Type, readonly Column[]>> = {
  bool: ['c_bool'],
  int2: ['c_int2'],
  int4: ['c_int4'],
  int8: ['c_int8'],
  numeric: ['c_numeric'],
  float4: ['c_float4'],
  float8: ['c_float8'],
  text: ['c_text', 'c_textc', 'c_letters'],
  varchar: ['c_varchar'],
  bpchar: ['c_bpchar'],
  uuid: ['c_uuid'],
  bytea: ['c_bytea'],
  time: ['c_time'],
  interval: ['c_interval'],
  date: ['c_date'],
  timestamp: ['c_timestamp'],
  timestamptz: ['c_timestamptz'],
  jsonb: ['c_jsonb'],
  json: ['c_json'],
  _int4: ['c_ints'],
  _text: ['c_texts'],
  mood: ['c_mood'],
};
const TYPES = Object.keys(COLUMNS_OF) as Type[];
/** Of regular expressions; several beside each other are one, or are none. */
const PATTERN_PARTS = [
  'a', 'b', 'A', 'é', '1', ' ', 'x', '.', '^', '$', '*', '+', '?', '{2}', '{1,}', '{0,2}?', '|', '(', ')', '(?:', '[', ']', '[ab]', '[^a-c]', '[A-Z]+',
  '[[:alpha:]]', '[[:upper:]_]', '[]-]', '[a-]', '\\d', '\\w', '\\s', '\\D', '\\W', '\\S', '[\\w.]', '\\y', '\\Y', '\\A', '\\Z', '\\.', '\\\\', '\\n', '\\u00e9',
  '\\1', '\\m', '(?=', '-', '{', '}', '[[:punct:]]', '[[.a.]]', '😀', '[😀-😂]', '(a|b)*', '(?:ab|1)?', 'É', '[à-ü]', 'ǆ', 'σ', 'k', '[^É]',
]; // prettier-ignore
const SIMILAR_PARTS = ['a', 'b', '%', '_', '|', '*', '(', ')', '[ab]', '[[:digit:]]', '[^a%]', '.', '\\_', '#%', '+', 'é', '{1,2}', '^', '1', '[]a]']; // prettier-ignore

const isType = (type: string): type is Type => Object.hasOwn(COLUMNS_OF, type);

const LITERALS: Readonly<Record<Type, readonly string[]>> = {
  bool: ['true', 'false', "'t'", "'off'"],
  int2: ['0', '1', '-1', "'7'", '7::int2', '32767'],
  int4: ['0', '1', '-1', '2', '3', '100', '2147483647', '(-2147483648)', "'12'"],
  int8: ['9223372036854775807', '0', '5000000000', "'-3'", '(-9223372036854775808)'],
  numeric: [
    '0.0',
    '1.5',
    '-2.50',
    '1e3',
    '0.1',
    "'12.345'",
    '123456789012345678901234567890',
    "'NaN'",
    "'infinity'",
  ],
  float4: ["'0.1'", '0.1', '1e10', "'NaN'", "'-infinity'"],
  float8: ["'0.1'", '0.1', '1e300', "'NaN'", "'infinity'", '-0.5'],
  text: ["'a'", "''", "'A%'", "'%b_'", "'%'", "'é'", "' x '", "'12'", "'a\\b'", "'\\'", "'😀'"],
  varchar: ["'a'", "'abc'"],
  bpchar: ["'a'", "'a '", "'ab  '"],
  uuid: ["'00000000-0000-0000-0000-000000000001'", "'{FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF}'"],
  bytea: [String.raw`'\x00ff'`, "'a'", String.raw`'\001b\\'`, "''"],
  time: ["'00:00'", "'24:00:00'", "'12:34:56.789'", "time '13:00:00'"],
  interval: [
    "'1 day'",
    "'P1Y2M-3DT4H'",
    "interval '1 month'",
    "'-1 day +02:03:04.5'",
    "'PT0S'",
    "'30 days'",
    "interval '-36 hours'",
  ],
  date: ["'2020-02-29'", "'infinity'", "'0044-03-15 BC'", "date '1999-12-31'"],
  timestamp: ["'2020-02-29 12:34:56.789'", "'-infinity'", "timestamp '2000-01-01'"],
  timestamptz: ["'2020-02-29 12:34:56+02'", "'infinity'", "'2000-01-01 00:00:00Z'"],
  jsonb: [`'{"a": 1}'`, `'[1, "a", null]'`, `'"a"'`, "'1.0'", "'null'", "'{}'", "'[]'"],
  json: [`'{"a": 1}'`, `'[1, "a", null]'`, `' "a" '`, "'1.0'", "'null'", `'{"a" : {"b":[ 1,2 ]},"a":2}'`],
  _int4: ["'{1,2,3}'", "'{}'", "'{{1,2},{3,NULL}}'", 'array[1,2]', "'[0:1]={1,2}'"],
  _text: ["'{a,b}'", "'{b,-1}'", "'{a}'", "'{1}'", "'{}'", `'{"a b",NULL}'`, "array['a','1']"],
  mood: ["'ok'", "'Zen'"],
};

type Production = { readonly name: string; readonly args: readonly string[]; readonly isOperator: boolean };

/** By result type. */
const PRODUCTIONS = new Map<string, Production[]>();
const LISTED = new Set(signatures());
for (const [data, isOperator] of [
  [OPERATORS, true],
  [FUNCTIONS, false],
] as const) {
  for (const line of data.trim().split('\n')) {
    const [name = '', ...rest] = line.split(' ');
    const args = isOperator ? rest.slice(0, 2).filter((arg) => arg !== '-') : rest.slice(1);
    const result = isOperator ? rest[2]! : rest[0]!;
    if (!LISTED.has([name, ...args].join(' '))) continue;
    PRODUCTIONS.set(result, [...(PRODUCTIONS.get(result) ?? []), { name, args, isOperator }]);
  }
}

const FIELDS = ['year', 'month', 'day', 'quarter', 'week', 'dow', 'isodow', 'doy', 'epoch', 'decade', 'century', 'millennium', 'isoyear']; // prettier-ignore
const CLOCK_FIELDS = [...FIELDS, 'hour', 'minute', 'second', 'milliseconds', 'microseconds'];
const TIME_FIELDS = ['epoch', 'hour', 'minute', 'second', 'milliseconds', 'microseconds'];
const INTERVAL_FIELDS = [...TIME_FIELDS, 'day', 'month', 'year', 'decade', 'century', 'millennium'];
const FIELDS_OF: Readonly<Record<string, readonly string[]>> = {
  date: FIELDS,
  time: TIME_FIELDS,
  interval: INTERVAL_FIELDS,
};
const UNITS = ['second', 'minute', 'hour', 'day', 'week', 'month', 'quarter', 'year'];

const CASTS: Readonly<Partial<Record<Type, readonly Type[]>>> = {
  bool: ['int4', 'text'],
  int2: ['int4', 'int8', 'numeric', 'float8', 'text'],
  int4: ['int2', 'int8', 'numeric', 'float4', 'float8', 'bool', 'text'],
  int8: ['int2', 'int4', 'numeric', 'float4', 'float8', 'text'],
  numeric: ['int4', 'int8', 'float4', 'float8', 'text'],
  float4: ['int4', 'int8', 'float8', 'numeric', 'text'],
  float8: ['int4', 'int8', 'float4', 'numeric', 'text'],
  text: TYPES.filter((type) => type !== 'text'),
  varchar: ['text', 'bpchar', 'int4'],
  bpchar: ['text', 'varchar'],
  uuid: ['text'],
  bytea: ['text'],
  time: ['text', 'interval'],
  interval: ['time', 'text'],
  date: ['timestamp'],
  timestamp: ['date'],
  jsonb: ['text', 'json'],
  json: ['text', 'jsonb'],
  _int4: ['_text', 'text'],
  _text: ['_int4', 'text'],
};

type Draw = { readonly int: (max: number) => number; readonly of: <T>(list: readonly T[]) => T };

class Writer {
  readonly #draw: Draw;
  constructor(draw: Draw) {
    this.#draw = draw;
  }

  write(type: Type, depth: number): string {
    const { int } = this.#draw;
    if (depth <= 0) return this.#leaf(type);
    switch (int(10)) {
      case 0:
        return this.#leaf(type);
      case 1:
        return `case when ${this.write('bool', depth - 1)} then ${this.write(type, depth - 1)}${int(2) === 0 ? '' : ` else ${this.write(type, depth - 1)}`} end`;
      case 2:
        return int(2) === 0
          ? `coalesce(${this.write(type, depth - 1)}, ${this.write(type, depth - 1)})`
          : `nullif(${this.write(type, depth - 1)}, ${this.write(type, depth - 1)})`;
      case 3:
        return this.#cast(type, depth);
      case 4:
        return this.#odd(type, depth);
      default:
        return type === 'bool' && int(2) === 0 ? this.#condition(depth) : this.#production(type, depth);
    }
  }

  /** The greatest of several, or an element of an array. */
  #odd(type: Type, depth: number): string {
    const { int, of } = this.#draw;
    const array = type === 'int4' ? '_int4' : type === 'text' ? '_text' : undefined;
    if (array !== undefined && int(2) === 0) {
      const indexes = Array.from(
        { length: 1 + int(2) },
        () => `[${this.write('int4', Math.min(1, depth - 1))}]`,
      );
      return `(${this.write(array, depth - 1)})${indexes.join('')}`;
    }
    const parts = Array.from({ length: 1 + int(3) }, () => this.write(type, depth - 1));
    return `${of(['greatest', 'least'])}(${parts.join(', ')})`;
  }

  /** Two rows, or one in a list of them. */
  #rows(depth: number): string {
    const { int, of } = this.#draw;
    const types = Array.from({ length: 1 + int(3) }, () => of(TYPES));
    const row = (): string => `row(${types.map((type) => this.write(type, depth - 1)).join(', ')})`;
    if (int(3) > 0) return `(${row()} ${of(['=', '<>', '<', '<=', '>', '>='])} ${row()})`;
    return `(${row()} ${of(['', 'not '])}in (${row()}, ${row()}))`;
  }

  #leaf(type: Type): string {
    const { int, of } = this.#draw;
    if (int(4) > 0) return `${of(['new', 'old'])}.${of(COLUMNS_OF[type])}`;
    return int(12) === 0 ? 'null' : of(LITERALS[type]);
  }

  #cast(type: Type, depth: number): string {
    const sources = TYPES.filter((source) => CASTS[source]?.includes(type));
    if (sources.length === 0) return this.#leaf(type);
    const inner = this.write(this.#draw.of(sources), depth - 1);
    const written = { _int4: 'int4[]', _text: 'text[]', bpchar: 'char(3)', varchar: 'varchar(3)' } as Record<
      string,
      string
    >;
    const name = type === 'numeric' && this.#draw.int(2) === 0 ? 'numeric(10,2)' : (written[type] ?? type);
    return type === 'mood' ? this.#leaf(type) : `(${inner})::${name}`;
  }

  #production(type: Type, depth: number): string {
    const all = PRODUCTIONS.get(type) ?? [];
    if (all.length === 0) return this.#leaf(type);
    const { name, args, isOperator } = this.#draw.of(all);
    const element = this.#draw.of(['_int4', '_text'] as const);
    const types = args.map((arg): Type =>
      arg === 'anyarray'
        ? element
        : arg === 'anyenum'
          ? 'mood'
          : arg === 'anynonarray'
            ? this.#draw.of(['int4', 'numeric', 'bool', 'date', 'float8', 'uuid', 'jsonb', 'interval'])
            : isType(arg)
              ? arg
              : 'text',
    );
    const texts = types.map((arg) => this.write(arg, depth - 1));
    // Beside a timestamptz only what no zone decides.
    const zoned = types.includes('timestamptz') ? types.indexOf('interval') : -1;
    if (zoned !== -1 && this.#draw.int(8) > 0)
      texts[zoned] = this.#draw.of(["interval '36 hours'", "'-00:00:01.5'"]);
    if (/^!?~\*?$/.test(name) && texts.length === 2) texts[1] = this.pattern();
    if (isOperator) return texts.length === 1 ? `(${name} ${texts[0]!})` : `(${texts.join(` ${name} `)})`;
    return this.#function(name, types, texts);
  }

  #function(name: string, types: readonly Type[], texts: readonly string[]): string {
    const { of } = this.#draw;
    if (name === 'extract') return `extract(${of(FIELDS_OF[types[1]!] ?? CLOCK_FIELDS)} from ${texts[1]!})`;
    if (name === 'date_trunc')
      return `date_trunc('${of(UNITS)}', ${texts[1]!}${texts.length === 3 ? ", 'UTC'" : ''})`;
    if (name === 'timezone') return `(${texts[1]!} at time zone 'UTC')`;
    if (name === 'position') return `position(${texts[1]!} in ${texts[0]!})`;
    if (name === 'repeat') return `repeat(${texts[0]!}, 3)`;
    return `${name}(${texts.join(', ')})`;
  }

  pattern(parts = PATTERN_PARTS): string {
    const { int, of } = this.#draw;
    return `'${Array.from({ length: int(6) }, () => of(parts)).join('')}'`;
  }

  similarPattern(): string {
    return this.pattern(SIMILAR_PARTS) + this.#draw.of(['', '', " escape '#'", " escape ''"]);
  }

  #condition(depth: number): string {
    const { int, of } = this.#draw;
    const below = (type: Type): string => this.write(type, depth - 1);
    const type = of(TYPES);
    const negated = int(2) === 0 ? 'not ' : '';
    switch (int(12)) {
      case 0:
        return `(${below('bool')} and ${below('bool')})`;
      case 1:
        return `(${below('bool')} or ${below('bool')})`;
      case 2:
        return `(not ${below('bool')})`;
      case 3:
        return `(${below(type)} is ${negated}null)`;
      case 4:
        return `(${below('bool')} is ${negated}${of(['true', 'false', 'unknown'])})`;
      case 5:
        return `(${below(type)} is ${negated}distinct from ${below(type)})`;
      case 6:
        return `(${below(type)} ${negated}in (${Array.from({ length: 1 + int(3) }, () => below(type)).join(', ')}))`;
      case 7:
        return `(${below(type)} ${negated}between ${of(['', 'symmetric '])}${below(type)} and ${below(type)})`;
      case 8: {
        const [element, array] = of([
          ['int4', '_int4'],
          ['text', '_text'],
          ['int8', '_int4'],
        ] as const);
        return `(${below(element)} ${of(['=', '<>', '<', '>='])} ${of(['any', 'all'])} (${below(array)}))`;
      }
      case 9:
        return this.#rows(depth);
      case 10:
        return `(${below(of(['text', 'varchar', 'bpchar']))} ${negated}similar to ${this.similarPattern()})`;
      default:
        return `(${below('text')} ${negated}${of(['like', 'ilike'])} ${below('text')})`;
    }
  }
}

/** Writes with what fast-check draws. */
const written = (write: (writer: Writer, draw: Draw) => string): fc.Arbitrary<string> =>
  fc.gen().map((g) => {
    const draw: Draw = {
      int: (max) => g(fc.nat, { max: max - 1 }),
      of: (list) => list[g(fc.nat, { max: list.length - 1 })]!,
    };
    return write(new Writer(draw), draw);
  });

/** Conditions over `new.` and `old.` columns; most are of types that fit, some are not. */
export const conditions = (depth = 4): fc.Arbitrary<string> =>
  written((writer) => writer.write('bool', depth));

/** A text beside a pattern, of which many are none. */
export const patternConditions = (): fc.Arbitrary<string> =>
  written((writer, { of }) => {
    const text = `new.${of(['c_text', 'c_textc', 'c_letters', 'c_varchar', 'c_bpchar'] as const)}`;
    return of([0, 1, 2]) === 0
      ? `(${text} similar to ${writer.similarPattern()})`
      : `(${text} ${of(['~', '~*', '!~', '!~*'])} ${writer.pattern()})`;
  });

/** Texts of values that are easily got wrong, by column. */
export const NASTY: Readonly<Record<Column, readonly (string | null)[]>> = {
  c_bool: [null, 't', 'f'],
  c_int2: [null, '0', '1', '-1', '32767', '-32768', '7'],
  c_int4: [null, '0', '1', '-1', '2', '3', '2147483647', '-2147483648', '100'],
  c_int8: [
    null,
    '0',
    '1',
    '-1',
    '9223372036854775807',
    '-9223372036854775808',
    '9007199254740993',
    '2147483648',
  ],
  c_numeric: [
    null, '0', '0.00', '1', '1.0', '-1.5', '0.5', '2.5', '-2.5', 'NaN', 'Infinity', '-Infinity', '9223372036854775807',
    '12345678901234567890.12345678901234567890', '0.1', '0.30000000000000004', `${'9'.repeat(1000)}.5`, '1e-30', '99999999.995',
  ], // prettier-ignore
  c_float4: [
    null,
    '0',
    '-0',
    '0.1',
    '1',
    'NaN',
    'Infinity',
    '-Infinity',
    '3.4028235e38',
    '1e-45',
    '16777216',
    '2.5',
    '1e6',
    '123456.7',
  ],
  c_float8: [
    null,
    '0',
    '-0',
    '0.1',
    '1',
    '0.30000000000000004',
    'NaN',
    'Infinity',
    '-Infinity',
    '1.7976931348623157e308',
    '5e-324',
    '9007199254740993',
    '2.5',
    '-3.5',
    '100000000000000.5',
    '1e15',
    '0.0001',
  ],
  c_text: [
    null,
    '',
    'a',
    'A',
    'ab',
    'b',
    ' a ',
    'a%',
    'é',
    'É',
    '😀x',
    '1',
    '-5',
    '12.50',
    'NaN',
    'true',
    'a\\b',
    '{1,2}',
    '{"a": 1}',
    '2020-02-29',
    'ok',
    '\u{ffff}',
    'x\n',
  ],
  c_textc: [null, '', 'a', 'B', 'é', '😀', '\u{ffff}', '007', 'a_b', 'abcabc'],
  c_letters: [
    null,
    '',
    'a',
    'É',
    'é',
    'straße',
    'İı',
    'Σας',
    'ǅ',
    '\u212a',
    'ﬁ',
    'ა',
    'ÀÉ-b',
    '😀É',
    'x\u001c1',
  ],
  c_varchar: [null, '', 'a', 'abc', 'é', '3'],
  c_bpchar: [null, '', 'a', 'ab', 'é', 'a b', '12'],
  c_uuid: [
    null,
    '00000000-0000-0000-0000-000000000001',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
  ],
  c_bytea: [null, '\\x', '\\x00', '\\x00ff', '\\x61', '\\xff', '\\x6162'],
  c_time: [null, '00:00:00', '24:00:00', '12:34:56.789', '23:59:59.999999', '13:00:00'],
  c_interval: [
    null, 'PT0S', 'P1D', 'P30D', 'P1M', 'PT24H', 'P-1D', 'P1Y2M-3DT4H-5M6.789S', 'P-1Y-2M3DT-4H-5M-6.7S', 'PT0.000001S', 'P1M-30D', 'P100Y',
    'P178956970Y7M', 'P-178956970Y-8M', 'P2147483647D', 'PT2147483647H', 'PT1H30M', 'P1234Y11M', 'infinity', '-infinity',
  ], // prettier-ignore
  c_date: [
    null,
    '2020-02-29',
    '1999-12-31',
    '0044-03-15 BC',
    'infinity',
    '-infinity',
    '5874897-12-31',
    '4713-01-01 BC',
    '2000-01-01',
    '0001-01-01',
    '0001-12-31 BC',
  ],
  c_timestamp: [
    null,
    '2020-02-29 12:34:56.789',
    '1999-12-31 23:59:59.999999',
    '0044-03-15 01:00:00 BC',
    'infinity',
    '-infinity',
    '294276-12-31 23:59:59',
    '2000-01-01 00:00:00',
    '1969-12-31 23:59:59.5',
  ],
  c_timestamptz: [
    null,
    '2020-02-29 12:34:56+02',
    '1999-12-31 23:59:59.999999+00',
    '0044-03-15 01:00:00+00 BC',
    'infinity',
    '-infinity',
    '2000-01-01 00:00:00+00',
  ],
  c_jsonb: [
    null,
    'null',
    '1',
    '1.0',
    '"a"',
    'true',
    '{}',
    '[]',
    '{"a": 1, "b": [1, 2.50, {"c": null}]}',
    '[1, "a", null, [2]]',
    '{"a": {"b": "x"}}',
    '1e2',
    '"\\u00e9\\n"',
    '[[1], {}]',
    '{"aa": 1, "b": 2}',
    '-1.50',
  ],
  c_json: [
    null, 'null', ' 1 ', '1.0', ' "a" ', 'true', '{}', '[]', '{"a": 1, "b": [1, 2.50, {"c": null}]}', '[1, "a" , null, [ 2 ]]', ' {"a" : {"b": "x"}} ', '1e2',
    '"\\u00e9\\n"', '[[1], {}]', '{"a": 1, "a": 2}', '{"a": {"b": 1}, "a": {"c": 2}}', '{"x": [1, 2, 3], "b": [5, 6]}', '{"1": "one", "b": {"a": "\\u0000"}}',
    '{"a": "\\ud800"}', '[{"a":[1, {"b":"}]"} ]}]', '{"\\u0061": "A\\"", "": 0}',
  ], // prettier-ignore
  c_ints: [null, '{}', '{1,2,3}', '{NULL,1}', '{{1,2},{3,4}}', '[0:1]={1,2}', '{100}'],
  c_texts: [null, '{}', '{a,b}', '{NULL}', '{"a b","",null,"NULL","x\\"y"}', '{a}', '{1,2}'],
  c_mood: [null, ...MOODS],
};

// The built-in types by OID: fixed for ever, so that they need no look-up in a catalog.
// https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat

/** The types that some format does not render as Postgres' text. */
export const TYPE = {
  bool: 16,
  bytea: 17,
  char: 18,
  int8: 20,
  int2: 21,
  int4: 23,
  oid: 26,
  json: 114,
  point: 600,
  box: 603,
  float4: 700,
  float8: 701,
  money: 790,
  date: 1082,
  time: 1083,
  timestamp: 1114,
  timestamptz: 1184,
  interval: 1186,
  timetz: 1266,
  bit: 1560,
  varbit: 1562,
  numeric: 1700,
  uuid: 2950,
  jsonb: 3802,
} as const;

/** Element type by array type. int2vector and oidvector are not here: they print as words, not as arrays. */
const ELEMENT_TYPES: ReadonlyMap<number, number> = new Map([
  [1000, TYPE.bool],
  [1001, TYPE.bytea],
  [1002, TYPE.char],
  [1003, 19], // name
  [1016, TYPE.int8],
  [1005, TYPE.int2],
  [1006, 22], // int2vector
  [1007, TYPE.int4],
  [1008, 24], // regproc
  [1009, 25], // text
  [1028, TYPE.oid],
  [1010, 27], // tid
  [1011, 28], // xid
  [1012, 29], // cid
  [1013, 30], // oidvector
  [199, TYPE.json],
  [143, 142], // xml
  [1017, TYPE.point],
  [1018, 601], // lseg
  [1019, 602], // path
  [1020, TYPE.box],
  [1027, 604], // polygon
  [629, 628], // line
  [651, 650], // cidr
  [1021, TYPE.float4],
  [1022, TYPE.float8],
  [719, 718], // circle
  [775, 774], // macaddr8
  [791, TYPE.money],
  [1040, 829], // macaddr
  [1041, 869], // inet
  [1034, 1033], // aclitem
  [1014, 1042], // bpchar
  [1015, 1043], // varchar
  [1182, TYPE.date],
  [1183, TYPE.time],
  [1115, TYPE.timestamp],
  [1185, TYPE.timestamptz],
  [1187, TYPE.interval],
  [1270, TYPE.timetz],
  [1561, TYPE.bit],
  [1563, TYPE.varbit],
  [1231, TYPE.numeric],
  [2201, 1790], // refcursor
  [2207, 2202], // regprocedure
  [2208, 2203], // regoper
  [2209, 2204], // regoperator
  [2210, 2205], // regclass
  [2211, 2206], // regtype
  [2951, TYPE.uuid],
  [2949, 2970], // txid_snapshot
  [3221, 3220], // pg_lsn
  [3643, 3614], // tsvector
  [3645, 3615], // tsquery
  [3644, 3642], // gtsvector
  [3735, 3734], // regconfig
  [3770, 3769], // regdictionary
  [3807, TYPE.jsonb],
  [3905, 3904], // int4range
  [3907, 3906], // numrange
  [3909, 3908], // tsrange
  [3911, 3910], // tstzrange
  [3913, 3912], // daterange
  [3927, 3926], // int8range
  [4073, 4072], // jsonpath
  [4090, 4089], // regnamespace
  [4097, 4096], // regrole
  [4192, 4191], // regcollation
  [6150, 4451], // int4multirange
  [6151, 4532], // nummultirange
  [6152, 4533], // tsmultirange
  [6153, 4534], // tstzmultirange
  [6155, 4535], // datemultirange
  [6157, 4536], // int8multirange
  [5039, 5038], // pg_snapshot
  [271, 5069], // xid8
]);

export type ArrayType = { readonly element: number; readonly delimiter: string };

/** The built-in array type of this OID; box is the only built-in type with a delimiter of its own. */
export function builtInArray(oid: number): ArrayType | undefined {
  const element = ELEMENT_TYPES.get(oid);
  return element === undefined ? undefined : { element, delimiter: element === TYPE.box ? ';' : ',' };
}

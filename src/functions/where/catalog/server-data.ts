// What Postgres' own catalog says of the types, casts, operators and functions that a filter may mean. Written by scripts/where-catalog.ts.

/** oid, name, category (upper case: preferred in it is `!`), element of an array. */
export const TYPES = `
1000 _bool A bool
1001 _bytea A bytea
1002 _char A char
1003 _name A name
1005 _int2 A int2
1006 _int2vector A int2vector
1007 _int4 A int4
1008 _regproc A regproc
1009 _text A text
1010 _tid A tid
1011 _xid A xid
1012 _cid A cid
1013 _oidvector A oidvector
1014 _bpchar A bpchar
1015 _varchar A varchar
1016 _int8 A int8
1017 _point A point
1018 _lseg A lseg
1019 _path A path
1020 _box A box
1021 _float4 A float4
1022 _float8 A float8
1027 _polygon A polygon
1028 _oid A oid
1033 aclitem U
1034 _aclitem A aclitem
1040 _macaddr A macaddr
1041 _inet A inet
1042 bpchar S
1043 varchar S
1082 date D
1083 time D
1114 timestamp D
1115 _timestamp A timestamp
114 json U
1182 _date A date
1183 _time A time
1184 timestamptz D!
1185 _timestamptz A timestamptz
1186 interval T!
1187 _interval A interval
1231 _numeric A numeric
1263 _cstring A cstring
1266 timetz D
1270 _timetz A timetz
142 xml U
143 _xml A xml
1560 bit V
1561 _bit A bit
1562 varbit V!
1563 _varbit A varbit
16 bool B!
17 bytea U
1700 numeric N
1790 refcursor U
18 char Z
19 name S
194 pg_node_tree Z
199 _json A json
20 int8 N
21 int2 N
22 int2vector A int2
2201 _refcursor A refcursor
2202 regprocedure N
2203 regoper N
2204 regoperator N
2205 regclass N
2206 regtype N
2207 _regprocedure A regprocedure
2208 _regoper A regoper
2209 _regoperator A regoperator
2210 _regclass A regclass
2211 _regtype A regtype
2249 record P
2275 cstring P
2276 any P
2277 anyarray P
2278 void P
2279 trigger P
2280 language_handler P
2281 internal P
2283 anyelement P
2287 _record P
23 int4 N
24 regproc N
25 text S!
26 oid N!
269 table_am_handler P
27 tid U
271 _xid8 A xid8
2776 anynonarray P
28 xid U
29 cid U
2949 _txid_snapshot A txid_snapshot
2950 uuid U
2951 _uuid A uuid
2970 txid_snapshot U
30 oidvector A oid
3115 fdw_handler P
32 pg_ddl_command P
3220 pg_lsn U
3221 _pg_lsn A pg_lsn
325 index_am_handler P
3310 tsm_handler P
3361 pg_ndistinct Z
3402 pg_dependencies Z
3500 anyenum P
3614 tsvector U
3615 tsquery U
3642 gtsvector U
3643 _tsvector A tsvector
3644 _gtsvector A gtsvector
3645 _tsquery A tsquery
3734 regconfig N
3735 _regconfig A regconfig
3769 regdictionary N
3770 _regdictionary A regdictionary
3802 jsonb U
3807 _jsonb A jsonb
3831 anyrange P
3838 event_trigger P
3904 int4range R
3905 _int4range A int4range
3906 numrange R
3907 _numrange A numrange
3908 tsrange R
3909 _tsrange A tsrange
3910 tstzrange R
3911 _tstzrange A tstzrange
3912 daterange R
3913 _daterange A daterange
3926 int8range R
3927 _int8range A int8range
4072 jsonpath U
4073 _jsonpath A jsonpath
4089 regnamespace N
4090 _regnamespace A regnamespace
4096 regrole N
4097 _regrole A regrole
4191 regcollation N
4192 _regcollation A regcollation
4451 int4multirange R
4532 nummultirange R
4533 tsmultirange R
4534 tstzmultirange R
4535 datemultirange R
4536 int8multirange R
4537 anymultirange P
4538 anycompatiblemultirange P
4600 pg_brin_bloom_summary Z
4601 pg_brin_minmax_multi_summary Z
5017 pg_mcv_list Z
5038 pg_snapshot U
5039 _pg_snapshot A pg_snapshot
5069 xid8 U
5077 anycompatible P
5078 anycompatiblearray P
5079 anycompatiblenonarray P
5080 anycompatiblerange P
600 point G
601 lseg G
602 path G
603 box G
604 polygon G
6150 _int4multirange A int4multirange
6151 _nummultirange A nummultirange
6152 _tsmultirange A tsmultirange
6153 _tstzmultirange A tstzmultirange
6155 _datemultirange A datemultirange
6157 _int8multirange A int8multirange
628 line G
629 _line A line
650 cidr I
651 _cidr A cidr
700 float4 N
701 float8 N!
705 unknown X
718 circle G
719 _circle A circle
774 macaddr8 U
775 _macaddr8 A macaddr8
790 money N
791 _money A money
829 macaddr U
869 inet I!
`;

/** source, target, context (i: implicit, a: assignment, e: explicit), method. */
export const CASTS = `
bit bit i f
bit int4 e f
bit int8 e f
bit varbit i b
bool bpchar a f
bool int4 e f
bool text a f
bool varchar a f
box circle e f
box lseg e f
box point e f
box polygon a f
bpchar bpchar i f
bpchar char a f
bpchar name i f
bpchar text i f
bpchar varchar i f
bpchar xml e f
bytea int2 e f
bytea int4 e f
bytea int8 e f
char bpchar a f
char int4 e f
char text i f
char varchar a f
cidr bpchar a f
cidr inet i b
cidr text a f
cidr varchar a f
circle box e f
circle point e f
circle polygon e f
date timestamp i f
date timestamptz i f
daterange datemultirange e f
float4 float8 i f
float4 int2 a f
float4 int4 a f
float4 int8 a f
float4 numeric a f
float8 float4 a f
float8 int2 a f
float8 int4 a f
float8 int8 a f
float8 numeric a f
inet bpchar a f
inet cidr a f
inet text a f
inet varchar a f
int2 bytea e f
int2 float4 i f
int2 float8 i f
int2 int4 i f
int2 int8 i f
int2 numeric i f
int2 oid i f
int2 regclass i f
int2 regcollation i f
int2 regconfig i f
int2 regdictionary i f
int2 regnamespace i f
int2 regoper i f
int2 regoperator i f
int2 regproc i f
int2 regprocedure i f
int2 regrole i f
int2 regtype i f
int4 bit e f
int4 bool e f
int4 bytea e f
int4 char e f
int4 float4 i f
int4 float8 i f
int4 int2 a f
int4 int8 i f
int4 money a f
int4 numeric i f
int4 oid i b
int4 regclass i b
int4 regcollation i b
int4 regconfig i b
int4 regdictionary i b
int4 regnamespace i b
int4 regoper i b
int4 regoperator i b
int4 regproc i b
int4 regprocedure i b
int4 regrole i b
int4 regtype i b
int4range int4multirange e f
int8 bit e f
int8 bytea e f
int8 float4 i f
int8 float8 i f
int8 int2 a f
int8 int4 a f
int8 money a f
int8 numeric i f
int8 oid i f
int8 regclass i f
int8 regcollation i f
int8 regconfig i f
int8 regdictionary i f
int8 regnamespace i f
int8 regoper i f
int8 regoperator i f
int8 regproc i f
int8 regprocedure i f
int8 regrole i f
int8 regtype i f
int8range int8multirange e f
interval interval i f
interval time a f
json jsonb a i
jsonb bool e f
jsonb float4 e f
jsonb float8 e f
jsonb int2 e f
jsonb int4 e f
jsonb int8 e f
jsonb json a i
jsonb numeric e f
lseg point e f
macaddr macaddr8 i f
macaddr8 macaddr i f
money numeric a f
name bpchar a f
name text i f
name varchar a f
numeric float4 i f
numeric float8 i f
numeric int2 a f
numeric int4 a f
numeric int8 a f
numeric money a f
numeric numeric i f
numrange nummultirange e f
oid int4 a b
oid int8 a f
oid regclass i b
oid regcollation i b
oid regconfig i b
oid regdictionary i b
oid regnamespace i b
oid regoper i b
oid regoperator i b
oid regproc i b
oid regprocedure i b
oid regrole i b
oid regtype i b
path polygon a f
pg_dependencies bytea i b
pg_dependencies text i i
pg_mcv_list bytea i b
pg_mcv_list text i i
pg_ndistinct bytea i b
pg_ndistinct text i i
pg_node_tree text i b
point box a f
polygon box e f
polygon circle e f
polygon path a f
polygon point e f
regclass int4 a b
regclass int8 a f
regclass oid i b
regcollation int4 a b
regcollation int8 a f
regcollation oid i b
regconfig int4 a b
regconfig int8 a f
regconfig oid i b
regdictionary int4 a b
regdictionary int8 a f
regdictionary oid i b
regnamespace int4 a b
regnamespace int8 a f
regnamespace oid i b
regoper int4 a b
regoper int8 a f
regoper oid i b
regoper regoperator i b
regoperator int4 a b
regoperator int8 a f
regoperator oid i b
regoperator regoper i b
regproc int4 a b
regproc int8 a f
regproc oid i b
regproc regprocedure i b
regprocedure int4 a b
regprocedure int8 a f
regprocedure oid i b
regprocedure regproc i b
regrole int4 a b
regrole int8 a f
regrole oid i b
regtype int4 a b
regtype int8 a f
regtype oid i b
text bpchar i b
text char a f
text name i f
text regclass i f
text varchar i b
text xml e f
time interval i f
time time i f
time timetz i f
timestamp date a f
timestamp time a f
timestamp timestamp i f
timestamp timestamptz i f
timestamptz date a f
timestamptz time a f
timestamptz timestamp a f
timestamptz timestamptz i f
timestamptz timetz a f
timetz time a f
timetz timetz i f
tsrange tsmultirange e f
tstzrange tstzmultirange e f
varbit bit i b
varbit varbit i f
varchar bpchar i b
varchar char a f
varchar name i f
varchar regclass i f
varchar text i b
varchar varchar i f
varchar xml e f
xid8 xid e f
xml bpchar a b
xml text a b
xml varchar a b
`;

/** name, left (- for none), right, result. */
export const OPERATORS = `
!~ bpchar text bool
!~ name text bool
!~ text text bool
!~* bpchar text bool
!~* name text bool
!~* text text bool
!~~ bpchar text bool
!~~ bytea bytea bool
!~~ name text bool
!~~ text text bool
!~~* bpchar text bool
!~~* name text bool
!~~* text text bool
#> json _text json
#> jsonb _text jsonb
#>> json _text text
#>> jsonb _text text
% int2 int2 int2
% int4 int4 int4
% int8 int8 int8
% numeric numeric numeric
&& anyarray anyarray bool
&& anymultirange anymultirange bool
&& anymultirange anyrange bool
&& anyrange anymultirange bool
&& anyrange anyrange bool
&& box box bool
&& circle circle bool
&& inet inet bool
&& polygon polygon bool
&& tsquery tsquery tsquery
* anymultirange anymultirange anymultirange
* anyrange anyrange anyrange
* box point box
* circle point circle
* float4 float4 float4
* float4 float8 float8
* float4 money money
* float8 float4 float8
* float8 float8 float8
* float8 interval interval
* float8 money money
* int2 int2 int2
* int2 int4 int4
* int2 int8 int8
* int2 money money
* int4 int2 int4
* int4 int4 int4
* int4 int8 int8
* int4 money money
* int8 int2 int8
* int8 int4 int8
* int8 int8 int8
* int8 money money
* interval float8 interval
* money float4 money
* money float8 money
* money int2 money
* money int4 money
* money int8 money
* numeric numeric numeric
* path point path
* point point point
+ - float4 float4
+ - float8 float8
+ - int2 int2
+ - int4 int4
+ - int8 int8
+ - numeric numeric
+ _aclitem aclitem _aclitem
+ anymultirange anymultirange anymultirange
+ anyrange anyrange anyrange
+ box point box
+ circle point circle
+ date int4 date
+ date interval timestamp
+ date time timestamp
+ date timetz timestamptz
+ float4 float4 float4
+ float4 float8 float8
+ float8 float4 float8
+ float8 float8 float8
+ inet int8 inet
+ int2 int2 int2
+ int2 int4 int4
+ int2 int8 int8
+ int4 date date
+ int4 int2 int4
+ int4 int4 int4
+ int4 int8 int8
+ int8 inet inet
+ int8 int2 int8
+ int8 int4 int8
+ int8 int8 int8
+ interval date timestamp
+ interval interval interval
+ interval time time
+ interval timestamp timestamp
+ interval timestamptz timestamptz
+ interval timetz timetz
+ money money money
+ numeric numeric numeric
+ numeric pg_lsn pg_lsn
+ path path path
+ path point path
+ pg_lsn numeric pg_lsn
+ point point point
+ time date timestamp
+ time interval time
+ timestamp interval timestamp
+ timestamptz interval timestamptz
+ timetz date timestamptz
+ timetz interval timetz
- - float4 float4
- - float8 float8
- - int2 int2
- - int4 int4
- - int8 int8
- - interval interval
- - numeric numeric
- _aclitem aclitem _aclitem
- anymultirange anymultirange anymultirange
- anyrange anyrange anyrange
- box point box
- circle point circle
- date date int4
- date int4 date
- date interval timestamp
- float4 float4 float4
- float4 float8 float8
- float8 float4 float8
- float8 float8 float8
- inet inet int8
- inet int8 inet
- int2 int2 int2
- int2 int4 int4
- int2 int8 int8
- int4 int2 int4
- int4 int4 int4
- int4 int8 int8
- int8 int2 int8
- int8 int4 int8
- int8 int8 int8
- interval interval interval
- jsonb _text jsonb
- jsonb int4 jsonb
- jsonb text jsonb
- money money money
- numeric numeric numeric
- path point path
- pg_lsn numeric pg_lsn
- pg_lsn pg_lsn numeric
- point point point
- time interval time
- time time interval
- timestamp interval timestamp
- timestamp timestamp interval
- timestamptz interval timestamptz
- timestamptz timestamptz interval
- timetz interval timetz
-> json int4 json
-> json text json
-> jsonb int4 jsonb
-> jsonb text jsonb
->> json int4 text
->> json text text
->> jsonb int4 text
->> jsonb text text
/ box point box
/ circle point circle
/ float4 float4 float4
/ float4 float8 float8
/ float8 float4 float8
/ float8 float8 float8
/ int2 int2 int2
/ int2 int4 int4
/ int2 int8 int8
/ int4 int2 int4
/ int4 int4 int4
/ int4 int8 int8
/ int8 int2 int8
/ int8 int4 int8
/ int8 int8 int8
/ interval float8 interval
/ money float4 money
/ money float8 money
/ money int2 money
/ money int4 money
/ money int8 money
/ money money float8
/ numeric numeric numeric
/ path point path
/ point point point
< anyarray anyarray bool
< anyenum anyenum bool
< anymultirange anymultirange bool
< anyrange anyrange bool
< bit bit bool
< bool bool bool
< box box bool
< bpchar bpchar bool
< bytea bytea bool
< char char bool
< circle circle bool
< date date bool
< date timestamp bool
< date timestamptz bool
< float4 float4 bool
< float4 float8 bool
< float8 float4 bool
< float8 float8 bool
< inet inet bool
< int2 int2 bool
< int2 int4 bool
< int2 int8 bool
< int4 int2 bool
< int4 int4 bool
< int4 int8 bool
< int8 int2 bool
< int8 int4 bool
< int8 int8 bool
< interval interval bool
< jsonb jsonb bool
< lseg lseg bool
< macaddr macaddr bool
< macaddr8 macaddr8 bool
< money money bool
< name name bool
< name text bool
< numeric numeric bool
< oid oid bool
< oidvector oidvector bool
< path path bool
< pg_lsn pg_lsn bool
< record record bool
< text name bool
< text text bool
< tid tid bool
< time time bool
< timestamp date bool
< timestamp timestamp bool
< timestamp timestamptz bool
< timestamptz date bool
< timestamptz timestamp bool
< timestamptz timestamptz bool
< timetz timetz bool
< tsquery tsquery bool
< tsvector tsvector bool
< uuid uuid bool
< varbit varbit bool
< xid8 xid8 bool
<= anyarray anyarray bool
<= anyenum anyenum bool
<= anymultirange anymultirange bool
<= anyrange anyrange bool
<= bit bit bool
<= bool bool bool
<= box box bool
<= bpchar bpchar bool
<= bytea bytea bool
<= char char bool
<= circle circle bool
<= date date bool
<= date timestamp bool
<= date timestamptz bool
<= float4 float4 bool
<= float4 float8 bool
<= float8 float4 bool
<= float8 float8 bool
<= inet inet bool
<= int2 int2 bool
<= int2 int4 bool
<= int2 int8 bool
<= int4 int2 bool
<= int4 int4 bool
<= int4 int8 bool
<= int8 int2 bool
<= int8 int4 bool
<= int8 int8 bool
<= interval interval bool
<= jsonb jsonb bool
<= lseg lseg bool
<= macaddr macaddr bool
<= macaddr8 macaddr8 bool
<= money money bool
<= name name bool
<= name text bool
<= numeric numeric bool
<= oid oid bool
<= oidvector oidvector bool
<= path path bool
<= pg_lsn pg_lsn bool
<= record record bool
<= text name bool
<= text text bool
<= tid tid bool
<= time time bool
<= timestamp date bool
<= timestamp timestamp bool
<= timestamp timestamptz bool
<= timestamptz date bool
<= timestamptz timestamp bool
<= timestamptz timestamptz bool
<= timetz timetz bool
<= tsquery tsquery bool
<= tsvector tsvector bool
<= uuid uuid bool
<= varbit varbit bool
<= xid8 xid8 bool
<> anyarray anyarray bool
<> anyenum anyenum bool
<> anymultirange anymultirange bool
<> anyrange anyrange bool
<> bit bit bool
<> bool bool bool
<> bpchar bpchar bool
<> bytea bytea bool
<> char char bool
<> circle circle bool
<> date date bool
<> date timestamp bool
<> date timestamptz bool
<> float4 float4 bool
<> float4 float8 bool
<> float8 float4 bool
<> float8 float8 bool
<> inet inet bool
<> int2 int2 bool
<> int2 int4 bool
<> int2 int8 bool
<> int4 int2 bool
<> int4 int4 bool
<> int4 int8 bool
<> int8 int2 bool
<> int8 int4 bool
<> int8 int8 bool
<> interval interval bool
<> jsonb jsonb bool
<> lseg lseg bool
<> macaddr macaddr bool
<> macaddr8 macaddr8 bool
<> money money bool
<> name name bool
<> name text bool
<> numeric numeric bool
<> oid oid bool
<> oidvector oidvector bool
<> pg_lsn pg_lsn bool
<> point point bool
<> record record bool
<> text name bool
<> text text bool
<> tid tid bool
<> time time bool
<> timestamp date bool
<> timestamp timestamp bool
<> timestamp timestamptz bool
<> timestamptz date bool
<> timestamptz timestamp bool
<> timestamptz timestamptz bool
<> timetz timetz bool
<> tsquery tsquery bool
<> tsvector tsvector bool
<> uuid uuid bool
<> varbit varbit bool
<> xid int4 bool
<> xid xid bool
<> xid8 xid8 bool
<@ anyarray anyarray bool
<@ anyelement anymultirange bool
<@ anyelement anyrange bool
<@ anymultirange anymultirange bool
<@ anymultirange anyrange bool
<@ anyrange anymultirange bool
<@ anyrange anyrange bool
<@ box box bool
<@ circle circle bool
<@ jsonb jsonb bool
<@ lseg box bool
<@ lseg line bool
<@ point box bool
<@ point circle bool
<@ point line bool
<@ point lseg bool
<@ point path bool
<@ point polygon bool
<@ polygon polygon bool
<@ tsquery tsquery bool
= aclitem aclitem bool
= anyarray anyarray bool
= anyenum anyenum bool
= anymultirange anymultirange bool
= anyrange anyrange bool
= bit bit bool
= bool bool bool
= box box bool
= bpchar bpchar bool
= bytea bytea bool
= char char bool
= cid cid bool
= circle circle bool
= date date bool
= date timestamp bool
= date timestamptz bool
= float4 float4 bool
= float4 float8 bool
= float8 float4 bool
= float8 float8 bool
= inet inet bool
= int2 int2 bool
= int2 int4 bool
= int2 int8 bool
= int4 int2 bool
= int4 int4 bool
= int4 int8 bool
= int8 int2 bool
= int8 int4 bool
= int8 int8 bool
= interval interval bool
= jsonb jsonb bool
= line line bool
= lseg lseg bool
= macaddr macaddr bool
= macaddr8 macaddr8 bool
= money money bool
= name name bool
= name text bool
= numeric numeric bool
= oid oid bool
= oidvector oidvector bool
= path path bool
= pg_lsn pg_lsn bool
= record record bool
= text name bool
= text text bool
= tid tid bool
= time time bool
= timestamp date bool
= timestamp timestamp bool
= timestamp timestamptz bool
= timestamptz date bool
= timestamptz timestamp bool
= timestamptz timestamptz bool
= timetz timetz bool
= tsquery tsquery bool
= tsvector tsvector bool
= uuid uuid bool
= varbit varbit bool
= xid int4 bool
= xid xid bool
= xid8 xid8 bool
> anyarray anyarray bool
> anyenum anyenum bool
> anymultirange anymultirange bool
> anyrange anyrange bool
> bit bit bool
> bool bool bool
> box box bool
> bpchar bpchar bool
> bytea bytea bool
> char char bool
> circle circle bool
> date date bool
> date timestamp bool
> date timestamptz bool
> float4 float4 bool
> float4 float8 bool
> float8 float4 bool
> float8 float8 bool
> inet inet bool
> int2 int2 bool
> int2 int4 bool
> int2 int8 bool
> int4 int2 bool
> int4 int4 bool
> int4 int8 bool
> int8 int2 bool
> int8 int4 bool
> int8 int8 bool
> interval interval bool
> jsonb jsonb bool
> lseg lseg bool
> macaddr macaddr bool
> macaddr8 macaddr8 bool
> money money bool
> name name bool
> name text bool
> numeric numeric bool
> oid oid bool
> oidvector oidvector bool
> path path bool
> pg_lsn pg_lsn bool
> record record bool
> text name bool
> text text bool
> tid tid bool
> time time bool
> timestamp date bool
> timestamp timestamp bool
> timestamp timestamptz bool
> timestamptz date bool
> timestamptz timestamp bool
> timestamptz timestamptz bool
> timetz timetz bool
> tsquery tsquery bool
> tsvector tsvector bool
> uuid uuid bool
> varbit varbit bool
> xid8 xid8 bool
>= anyarray anyarray bool
>= anyenum anyenum bool
>= anymultirange anymultirange bool
>= anyrange anyrange bool
>= bit bit bool
>= bool bool bool
>= box box bool
>= bpchar bpchar bool
>= bytea bytea bool
>= char char bool
>= circle circle bool
>= date date bool
>= date timestamp bool
>= date timestamptz bool
>= float4 float4 bool
>= float4 float8 bool
>= float8 float4 bool
>= float8 float8 bool
>= inet inet bool
>= int2 int2 bool
>= int2 int4 bool
>= int2 int8 bool
>= int4 int2 bool
>= int4 int4 bool
>= int4 int8 bool
>= int8 int2 bool
>= int8 int4 bool
>= int8 int8 bool
>= interval interval bool
>= jsonb jsonb bool
>= lseg lseg bool
>= macaddr macaddr bool
>= macaddr8 macaddr8 bool
>= money money bool
>= name name bool
>= name text bool
>= numeric numeric bool
>= oid oid bool
>= oidvector oidvector bool
>= path path bool
>= pg_lsn pg_lsn bool
>= record record bool
>= text name bool
>= text text bool
>= tid tid bool
>= time time bool
>= timestamp date bool
>= timestamp timestamp bool
>= timestamp timestamptz bool
>= timestamptz date bool
>= timestamptz timestamp bool
>= timestamptz timestamptz bool
>= timetz timetz bool
>= tsquery tsquery bool
>= tsvector tsvector bool
>= uuid uuid bool
>= varbit varbit bool
>= xid8 xid8 bool
? jsonb text bool
?& jsonb _text bool
?| - line bool
?| - lseg bool
?| jsonb _text bool
?| point point bool
@> _aclitem aclitem bool
@> anyarray anyarray bool
@> anymultirange anyelement bool
@> anymultirange anymultirange bool
@> anymultirange anyrange bool
@> anyrange anyelement bool
@> anyrange anymultirange bool
@> anyrange anyrange bool
@> box box bool
@> box point bool
@> circle circle bool
@> circle point bool
@> jsonb jsonb bool
@> path point bool
@> polygon point bool
@> polygon polygon bool
@> tsquery tsquery bool
|| anycompatible anycompatiblearray anycompatiblearray
|| anycompatiblearray anycompatible anycompatiblearray
|| anycompatiblearray anycompatiblearray anycompatiblearray
|| anynonarray text text
|| bytea bytea bytea
|| jsonb jsonb jsonb
|| text anynonarray text
|| text text text
|| tsquery tsquery tsquery
|| tsvector tsvector tsvector
|| varbit varbit varbit
~ - bit bit
~ - inet inet
~ - int2 int2
~ - int4 int4
~ - int8 int8
~ - macaddr macaddr
~ - macaddr8 macaddr8
~ bpchar text bool
~ name text bool
~ text text bool
~* bpchar text bool
~* name text bool
~* text text bool
~~ bpchar text bool
~~ bytea bytea bool
~~ name text bool
~~ text text bool
~~* bpchar text bool
~~* name text bool
~~* text text bool
`;

/** name, result, arguments; `*` before the name: the last one is variadic. */
export const FUNCTIONS = `
abs float4 float4
abs float8 float8
abs int2 int2
abs int4 int4
abs int8 int8
abs numeric numeric
array_length int4 anyarray int4
ascii int4 text
btrim bytea bytea bytea
btrim text text
btrim text text text
cardinality int4 anyarray
ceil float8 float8
ceil numeric numeric
ceiling float8 float8
ceiling numeric numeric
char_length int4 bpchar
char_length int4 text
character_length int4 bpchar
character_length int4 text
date_part float8 text date
date_part float8 text interval
date_part float8 text time
date_part float8 text timestamp
date_part float8 text timestamptz
date_part float8 text timetz
date_trunc interval text interval
date_trunc timestamp text timestamp
date_trunc timestamptz text timestamptz
date_trunc timestamptz text timestamptz text
extract numeric text date
extract numeric text interval
extract numeric text time
extract numeric text timestamp
extract numeric text timestamptz
extract numeric text timetz
floor float8 float8
floor numeric numeric
isfinite bool date
isfinite bool interval
isfinite bool timestamp
isfinite bool timestamptz
json_array_length int4 json
json_typeof text json
jsonb_array_length int4 jsonb
jsonb_typeof text jsonb
left text text int4
length float8 lseg
length float8 path
length int4 bit
length int4 bpchar
length int4 bytea
length int4 bytea name
length int4 text
length int4 tsvector
like_escape bytea bytea bytea
like_escape text text text
lower anyelement anymultirange
lower anyelement anyrange
lower text text
ltrim bytea bytea bytea
ltrim text text
ltrim text text text
md5 text bytea
md5 text text
mod int2 int2 int2
mod int4 int4 int4
mod int8 int8 int8
mod numeric numeric numeric
octet_length int4 bit
octet_length int4 bpchar
octet_length int4 bytea
octet_length int4 text
position int4 bit bit
position int4 bytea bytea
position int4 text text
repeat text text int4
replace text text text text
reverse bytea bytea
reverse text text
right text text int4
round float8 float8
round numeric numeric
round numeric numeric int4
rtrim bytea bytea bytea
rtrim text text
rtrim text text text
sign float8 float8
sign numeric numeric
similar_to_escape text text
similar_to_escape text text text
split_part text text text int4
starts_with bool text text
strpos int4 text text
substr bytea bytea int4
substr bytea bytea int4 int4
substr text text int4
substr text text int4 int4
substring bit bit int4
substring bit bit int4 int4
substring bytea bytea int4
substring bytea bytea int4 int4
substring text text int4
substring text text int4 int4
substring text text text
substring text text text text
timezone timestamp interval timestamptz
timezone timestamp text timestamptz
timezone timestamp timestamptz
timezone timestamptz interval timestamp
timezone timestamptz text timestamp
timezone timestamptz timestamp
timezone timetz interval timetz
timezone timetz text timetz
timezone timetz timetz
trunc float8 float8
trunc macaddr macaddr
trunc macaddr8 macaddr8
trunc numeric numeric
trunc numeric numeric int4
upper anyelement anymultirange
upper anyelement anyrange
upper text text
`;

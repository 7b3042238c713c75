// The names of operators and functions among which a filter's are looked for. A name that is not here is refused by itself.

export const OPERATOR_NAMES: readonly string[] =
  '= <> < <= > >= + - * / % || ~~ ~~* !~~ !~~* ~ ~* !~ !~* -> ->> #> #>> @> <@ && ? ?| ?&'.split(' ');

export const FUNCTION_NAMES: readonly string[] = (
  'abs array_length ascii btrim cardinality ceil ceiling char_length character_length date_part date_trunc extract floor isfinite ' +
  'json_array_length json_typeof jsonb_array_length jsonb_typeof left length like_escape lower ltrim md5 mod octet_length position ' +
  'repeat replace reverse right round rtrim sign similar_to_escape split_part starts_with strpos substr substring timezone trunc upper'
).split(' ');

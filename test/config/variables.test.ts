import { describe, expect, test } from 'vitest';
import { substituteVariables } from '../../src/config/file/variables.ts';

const SET = {
  SET: 'value',
  EMPTY: '',
  ODD: '${SET}: $SET #$&$1',
  set: 'lower',
  _2: 'two',
  '1': 'one',
  É: 'e',
};

describe('as envsubst reads it', () => {
  test.each([
    ['$SET', 'value'],
    ['$SET-$set.$SET', 'value-lower.value'],
    ['a${SET}b${SET}', 'avaluebvalue'],
    ['$EMPTY${EMPTY}', ''],
    ['$_2 ${_2} $1 ${1} $É', 'two two one one e'],
    ['${SET:-other} ${SET-other} ${SET:=other} ${SET=other}', 'value value value value'],
    ['${EMPTY:-other} ${EMPTY:=other} <${EMPTY-other}> <${EMPTY=other}>', 'other other <> <>'],
    ['${UNSET:-a} ${UNSET-b} ${UNSET:=c} ${UNSET=d} <${UNSET:-}>', 'a b c d <>'],
    ['${SET:+x}${SET+y} ${EMPTY:+x}${EMPTY+y} <${UNSET:+x}${UNSET+$UNSET}>', 'xy xy <>'],
    ['${SET:?never} ${SET?never} <${EMPTY?never}>', 'value value <>'],
    ['${UNSET:--1} ${UNSET-http://localhost:8080/?a=b}', '-1 http://localhost:8080/?a=b'],
    ['${UNSET:-$SET} ${UNSET:-${SET}} ${UNSET:-a $SET}', 'value value a value'],
    ['<${UNSET:-a${EMPTY:-${UNSET:-b}}c}>', '<abc>'],
    ['${SET:-${UNSET}}${SET:-$UNSET}', 'valuevalue'],
    ['$$SET $${SET} $${UNSET:-x}', '$SET ${SET} ${UNSET:-x}'],
    ['$$$SET $$$$SET do $$$$', '$value $$SET do $$'],
    ['${UNSET:-pa$$word}', 'pa$word'],
    ['${UNSET:-{} ${UNSET:-http://host/{id}}', '{ http://host/{id}'],
  ])('%s is %j', (text, expected) => {
    expect(substituteVariables(text, SET)).toEqual({ text: expected, problems: [], changed: true });
  });

  test.each([
    '',
    'none',
    'a $ b',
    '$',
    '$_',
    '${_}',
    '$-',
    '^[0-9]+$',
    '${}',
    '${',
    '${%x%}',
    '${%x%:-}',
    '#{SET}',
  ])('%j has no variable in it', (text) => {
    expect(substituteVariables(text, SET)).toEqual({ text, problems: [], changed: false });
  });

  test('what a variable holds is not read again', () => {
    expect(substituteVariables('$ODD ${ODD} ${UNSET:-$ODD}', SET).text).toBe(
      `${SET.ODD} ${SET.ODD} ${SET.ODD}`,
    );
  });
});

test('a value of the row, which has a dot in its name, stays as it is, and what is in its default does not', () => {
  expect(substituteVariables('orders-${SET}-${row.region:-${SET}}-${row.SET}-${meta.table}', SET)).toEqual({
    text: 'orders-value-${row.region:-value}-${row.SET}-${meta.table}',
    problems: [],
    changed: true,
  });
});

describe('is a problem:', () => {
  const problemsOf = (text: string): readonly string[] => substituteVariables(text, SET).problems;

  test('a variable that is needed and not set, in a default too, and only there where the default is', () => {
    const names = problemsOf('$FIRST ${ONE} ${SET:-${TWO}} ${EMPTY:-${THREE}} ${SET:+$FOUR}').map(
      (problem) => /the variable (\w+) is not set; set it/.exec(problem)?.[1],
    );
    expect(names).toEqual(['FIRST', 'ONE', 'THREE', 'FOUR']);
  });

  test('a variable that says itself why it is needed', () => {
    expect(problemsOf('${UNSET:?the key of the shop} ${EMPTY:?}')).toEqual([
      'the variable UNSET is needed: the key of the shop',
      'the variable EMPTY is needed: it is not set',
    ]);
  });

  test('a dollar sign in the middle of a password, of which nothing is told', () => {
    const [problem] = problemsOf('pa$word1');
    expect(problem).toMatch(/what follows the dollar sign is a variable that is not set; .*write \$\$/);
    expect(problem).not.toContain('word1');
  });

  test('a brace that never closes, and a form that nobody reads', () => {
    expect(problemsOf('${SET')).toEqual([expect.stringContaining('${SET has no closing brace')]);
    expect(problemsOf('${UNSET:-never ends')).toEqual([expect.stringContaining('has no closing brace')]);
    for (const text of ['${SET:2}', '${SET/a/b}', '${SET,,}', '${SET }']) {
      expect(problemsOf(text)).toEqual([expect.stringContaining('is no form of a variable')]);
    }
  });
});

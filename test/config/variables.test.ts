import { expect, test } from 'vitest';
import { substituteVariables } from '../../src/config/file/variables.ts';

const SET = { SET: 'value', EMPTY: '', ODD: '${SET}: #$&$1' };

test.each([
  ['${SET}', 'value'],
  ['a${SET}b${SET}', 'avaluebvalue'],
  ['${EMPTY}', ''],
  ['${SET:-other}', 'value'],
  ['${EMPTY:-other} ${UNSET:-}', 'other '],
  ['$${SET} $${UNSET:-x}', '${SET} ${UNSET:-x}'],
  ['${%table%}-${SET}', '${%table%}-value'],
  // What a variable holds is not read again.
  ['${ODD}', '${SET}: #$&$1'],
  ['${SET:-${UNSET}}', 'value'],
  ['${UNSET:-${SET}}', 'value'],
  ['<${UNSET:-a${EMPTY:-${UNSET:-b}}c}>', '<abc>'],
  ['${UNSET:-${%table%}}', '${%table%}'],
  ['${UNSET:-never ends', '${UNSET:-never ends'],
])('%s is %j', (text, expected) => {
  expect(substituteVariables(text, SET)).toMatchObject({ text: expected, missing: [] });
});

test('a variable that is needed and not set is missing, in a default too', () => {
  expect(substituteVariables('${ONE} ${SET:-${TWO}} ${EMPTY:-${THREE}}', SET).missing).toEqual([
    'ONE',
    'THREE',
  ]);
});

import { expect, test } from 'vitest';
import {
  neededColumns,
  parseRowTemplate,
  parseTemplate,
  templateColumns,
  writtenAs,
} from '../../src/core/template.ts';

test('a template is text, macros and columns in their order', () => {
  expect(parseTemplate('${%table%}-${id}/${%schema%}${%xid%}')).toEqual([
    { kind: 'table' },
    { kind: 'text', text: '-' },
    { kind: 'column', name: 'id' },
    { kind: 'text', text: '/' },
    { kind: 'schema' },
    { kind: 'xid' },
  ]);
});

test('a template may be a constant, and a lone dollar is text', () => {
  expect(parseTemplate('costs $5')).toEqual([{ kind: 'text', text: 'costs $5' }]);
  expect(templateColumns(parseTemplate('${a}${%xid%}${b c}'))).toEqual(['a', 'b c']);
});

test('an unclosed brace, an empty name and an unknown macro are named', () => {
  expect(() => parseTemplate('x${id')).toThrow(/at character 2 is not closed/);
  expect(() => parseTemplate('${}')).toThrow(/names no column/);
  expect(() => parseTemplate('${%tabel%}')).toThrow(/there is no macro %tabel%/);
});

test('a value of the row has a dot, and its default behind it', () => {
  expect(parseRowTemplate('o-${row.region:-other}.${old.a b}-${meta.table}')).toEqual([
    { kind: 'text', text: 'o-' },
    { kind: 'value', image: 'row', name: 'region', fallback: 'other' },
    { kind: 'text', text: '.' },
    { kind: 'value', image: 'old', name: 'a b', fallback: undefined },
    { kind: 'text', text: '-' },
    { kind: 'table' },
  ]);
  expect(parseTemplate('${row.id}-${id}')).toEqual([
    { kind: 'value', image: 'row', name: 'id', fallback: undefined },
    { kind: 'text', text: '-' },
    { kind: 'column', name: 'id' },
  ]);
  expect(neededColumns(parseRowTemplate('${row.a}${row.b:-}${old.c}')).map(writtenAs)).toEqual([
    '${row.a}',
    '${old.c}',
  ]);
});

test('a name of the wrong kind is told what was meant', () => {
  expect(() => parseRowTemplate('q-${region}')).toThrow(/a column is written \$\{row\.region\}/);
  expect(() => parseRowTemplate('q-${rwo.id}')).toThrow(/there is no rwo; did you mean "row"/);
  expect(() => parseRowTemplate('q-${meta.tabel}')).toThrow(/did you mean "table"/);
  expect(() => parseRowTemplate('q-${row.}')).toThrow(/names no column/);
  expect(() => parseRowTemplate('q-${row.a:-${B}}')).toThrow(/a default is a text/);
  expect(() => parseTemplate('${meta.action}')).toThrow(/several groups/);
});

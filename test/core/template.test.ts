import { expect, test } from 'vitest';
import { parseTemplate, templateColumns } from '../../src/core/template.ts';

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

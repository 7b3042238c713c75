// The list of cases is whole: each has a test that cites it, or says why it has none. docs/conformance.md is its page.
import { expect, test } from 'vitest';
import { casesIn, citations, numberedCases } from '../../scripts/conformance-docs.ts';

const cases = numberedCases();

test('every case has a test, or a reason', () => {
  expect(cases).toHaveLength(258);
  const unproven = cases.filter(({ tests, reason }) => tests.length === 0 && reason === undefined);
  expect(unproven.map(({ number, title }) => `${number} ${title}`)).toEqual([]);
});

test('every case that a test cites is on the list', () => {
  const known = new Set(cases.map(({ number }) => number));
  expect([...citations().keys()].filter((number) => !known.has(number))).toEqual([]);
});

test('a citation is a number, or a range of them', () => {
  const from = 'c001'.toUpperCase();
  expect(casesIn(`(${from}), ${'c001–c003; xc004, c0055'.toUpperCase()}`)).toEqual([1, 1, 2, 3]);
});

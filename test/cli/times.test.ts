import { expect, test } from 'vitest';
import { ageText, latencyText, wholeLatencyText } from '../../src/cli/times.ts';

test.each([
  [0, '0.0 ms', '< 1 ms'],
  [0.44, '0.4 ms', '< 1 ms'],
  [21.2, '21.2 ms', '21 ms'],
  [9_999, '9999.0 ms', '9999 ms'],
  [10_000, '10.0 s', '10.0 s'],
  [119_900, '119.9 s', '119.9 s'],
  [333_019.5, '5.6 min', '5.6 min'],
  [7_200_000, '2.0 h', '2.0 h'],
  [172_800_000, '2.0 d', '2.0 d'],
  [-0.4, '0.0 ms', '< 1 ms'],
])('a latency of %d ms is %s, or %s where no parts of a millisecond are known', (ms, fine, whole) => {
  expect([latencyText(ms), wholeLatencyText(ms)]).toEqual([fine, whole]);
});

test.each([
  [0, '0.0 s'],
  [1.5, '1.5 s'],
  [330, '5.5 min'],
  [86_400, '24.0 h'],
  [1_000_000, '11.6 d'],
])('%d seconds are %s', (seconds, text) => expect(ageText(seconds)).toBe(text));

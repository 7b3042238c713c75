// Says before `npm test` what is about to run and how long that takes, so that nobody takes a long run for one that hangs.
import { availableParallelism } from 'node:os';

/** Measured on two cores that did nothing else. */
const WHOLE_SUITE_MINUTES = 16;

console.log(
  [
    `The whole suite, with real Postgres servers: about ${WHOLE_SUITE_MINUTES} minutes on two cores that do nothing else (here: ${availableParallelism()}).`,
    'What needs no Postgres, in about a minute: npm run test:quick',
  ].join('\n'),
);

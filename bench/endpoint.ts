// The benchmarks' SQS: an endpoint in a process of its own that counts. Prints its URL; for each line with a number on
// standard input, a line of figures once that many messages were accepted.
import { createInterface } from 'node:readline';
import { startSqsRecorder } from '../test/support/sqs-recorder.ts';

const recorder = await startSqsRecorder();
let accepted = 0;
let firstAt = 0;
let lastAt = 0;
let wanted = Infinity;

function report(): void {
  if (accepted < wanted) return;
  const { duplicates, requests } = recorder.counts;
  console.log(JSON.stringify({ accepted, duplicates, requests, firstAt, lastAt }));
  wanted = Infinity;
}
recorder.onMessage = ({ at }) => {
  if (accepted++ === 0) firstAt = at;
  lastAt = at;
  report();
};
console.log(recorder.url);
for await (const line of createInterface({ input: process.stdin })) {
  wanted = Number(line);
  report();
}
process.exit(0);

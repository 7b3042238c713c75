// The thread that parses filters: texts in, syntax or faults out.
import { parentPort, workerData } from 'node:worker_threads';
import { WhereRefusal } from './fault.ts';
import { loadFilterParser, type FilterParser } from './parser.ts';
import type { Parsed } from './parsing.ts';

function parsedBy(parse: FilterParser, text: string): Parsed {
  try {
    return { kind: 'filter', filter: parse(text) };
  } catch (error) {
    if (!(error instanceof WhereRefusal)) throw error;
    return { kind: 'fault', fault: error.fault };
  }
}

const parse = await loadFilterParser();
parentPort!.postMessage((workerData as readonly string[]).map((text) => parsedBy(parse, text)));

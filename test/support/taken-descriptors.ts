// Preloaded into a process (`NODE_OPTIONS=--import …`): while the file `TAKEN_DESCRIPTORS` names is there, something takes every file
// descriptor that is free, and gives them back when it is gone.
import fs from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const INTERVAL_MS = 5;
const flag = process.env['TAKEN_DESCRIPTORS'] ?? '';
const taken: number[] = [];

function take(): void {
  try {
    for (;;) taken.push(fs.openSync('/dev/null', 'r'));
  } catch {
    // None is free: said with what needs none.
    fs.mkdirSync(`${flag}.all`, { recursive: true });
  }
}

if (isMainThread && flag !== '') {
  // `existsSync` needs no descriptor.
  setInterval(() => {
    if (fs.existsSync(flag)) take();
    else for (const fd of taken.splice(0)) fs.closeSync(fd);
  }, INTERVAL_MS).unref();
}

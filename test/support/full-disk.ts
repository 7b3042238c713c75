// Preloaded into a process (`NODE_OPTIONS=--import …`): while the file `FULL_DISK` names is there, the change log's disk is full.
// What a real one does that others have filled: writes that need room are refused, and it says that nothing is free.
import { existsSync } from 'node:fs';
import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const isFull = (): boolean => existsSync(process.env['FULL_DISK'] ?? '');

const { writevSync } = fs;
fs.writevSync = (...args: Parameters<typeof writevSync>) => {
  if (isFull()) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  return writevSync(...args);
};

const { statfs } = promises;
promises.statfs = (async (path: string) => {
  const disk = await statfs(path);
  if (isFull() && process.env['FULL_DISK_LIES'] === undefined) disk.bavail = 0;
  return disk;
}) as typeof statfs;

syncBuiltinESMExports();

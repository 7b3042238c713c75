#!/usr/bin/env node
// The process: arguments in, exit code out, signals.
import { readFileSync } from 'node:fs';
import { onProcessInterrupt } from './cli/ports.ts';
import { runCli } from './cli/program.ts';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

// Invariant 9, for whatever makes a file (SQLite does, too): neither a looser nor a stricter one of who started us.
process.umask(0o077);
process.exitCode = await runCli(process.argv.slice(2), {
  // Only the commands that run the service load it.
  startService: async (settings, options) => {
    const { startService } = await import('./app.ts');
    return startService(settings, options);
  },
  version,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  onInterrupt: onProcessInterrupt,
  exit: (code) => process.exit(code),
});

#!/usr/bin/env node
// The process: arguments in, exit code out, signals.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { nodeFault } from './cli/node-version.ts';

const { version, engines } = JSON.parse(
  readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
) as { version: string; engines: { node: string } };

const fault = nodeFault(process.versions.node, engines.node, process.execPath);
if (fault === undefined) {
  await main();
} else {
  process.stderr.write(`${fault}\n`);
  // As for a wrong configuration: starting again does not help.
  process.exitCode = 2;
}

async function main(): Promise<void> {
  if (import.meta.filename.endsWith('.ts')) await keepStripped();
  // Not above: an old Node cannot load what they need.
  const { onProcessInterrupt } = await import('./cli/ports.ts');
  const { runCli } = await import('./cli/program.ts');
  // Invariant 9, for whatever makes a file (SQLite does, too): neither a looser nor a stricter one of who started us.
  process.umask(0o077);
  process.exitCode = await runCli(process.argv.slice(2), {
    // Only the commands that run the service load it.
    startService: async (settings, options) => {
      const { startService } = await import('./app.ts');
      return startService(settings, options);
    },
    // What it cannot load, whoever starts it hears.
    prepareService: () => void prepareService().catch(() => undefined),
    version,
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    cwd: process.cwd(),
    onInterrupt: onProcessInterrupt,
    exit: (code) => process.exit(code),
  });
}

/** Loads what a service needs, a source's thread first. */
async function prepareService(): Promise<void> {
  const [{ warmUp }, { SOURCE_ENTRY }] = await Promise.all([
    import('./pipeline/threads/warm.ts'),
    import('./pipeline/source/entry.ts'),
  ]);
  warmUp(SOURCE_ENTRY);
  await import('./app.ts');
}

/** Of the sources the types are stripped once, not at each start in each thread: half the CPU of a start, and 20 MiB of a service. */
async function keepStripped(): Promise<void> {
  const { constants, enableCompileCache } = await import('node:module');
  const directory = fileURLToPath(new URL('../node_modules/.cache/tailrace', import.meta.url));
  const { status } = enableCompileCache(process.env['NODE_COMPILE_CACHE'] ?? directory);
  // Threads and child processes go by the variable.
  if (status === constants.compileCacheStatus.ENABLED) process.env['NODE_COMPILE_CACHE'] ??= directory;
}

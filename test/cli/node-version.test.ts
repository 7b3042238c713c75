// What somebody meets whose Node is too old: npm has only warned of it.
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { nodeFault } from '../../src/cli/node-version.ts';

const MAIN = resolve(import.meta.dirname, '../../src/main.ts');

test('an old Node is told which one is needed', () => {
  for (const own of ['18.19.1', '20.20.2', '22.0.0', '23.11.0'])
    expect(nodeFault(own, '>=24', '/usr/bin/node')).toContain(
      `runs on Node 24 or newer, and this is Node ${own} (/usr/bin/node)`,
    );
  for (const own of ['24.0.0', '24.21.0', '26.10.0', '100.0.0'])
    expect(nodeFault(own, '>=24', '/usr/bin/node')).toBeUndefined();
});

test('with an old Node every command says that, and loads nothing that an old Node lacks', () => {
  const older = `data:text/javascript,${encodeURIComponent(`
    import { registerHooks } from 'node:module';
    Object.defineProperty(process.versions, 'node', { value: '20.20.2' });
    registerHooks({
      resolve(specifier, context, next) {
        if (/sqlite|commander|program\\.ts/.test(specifier)) throw new Error('no such module: ' + specifier);
        return next(specifier, context);
      },
    });
  `)}`;
  for (const argv of [['run'], ['--version'], ['doctor', '--json']]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', older, MAIN, ...argv], {
      encoding: 'utf8',
    });
    expect([status, stdout, stderr]).toEqual([
      2,
      '',
      `error: Tailrace runs on Node 24 or newer, and this is Node 20.20.2 (${process.execPath}) — install one and put it first on the PATH\n`,
    ]);
  }
});

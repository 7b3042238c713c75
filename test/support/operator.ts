// An operator at the command line, in front of a service that runs in a process of its own.
import { startCli } from './cli.ts';
import type { ServiceProcess } from './service.ts';

export type CommandResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs `tailrace ARGS` against the service. */
export async function runCommand(service: ServiceProcess, ...args: string[]): Promise<CommandResult> {
  const cli = startCli([...args, '--url', await service.apiUrl()]);
  const code = await cli.code;
  return { code, stdout: cli.stdout(), stderr: cli.stderr() };
}

/** Runs it with `--json`; fails unless it ends with 0. */
export async function askCommand<T>(service: ServiceProcess, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await runCommand(service, ...args, '--json');
  if (code !== 0) throw new Error(`tailrace ${args.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

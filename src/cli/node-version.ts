// Whether this Node runs Tailrace: npm only warns when it installs for an older one, and what fails then says nothing.
// Imports nothing, so that an old Node can load it.

/** Of a Node that is older than `engines` asks for (`>=24`): what to say; undefined where it will do. */
export function nodeFault(own: string, engines: string, executable: string): string | undefined {
  const wanted = Number(/\d+/.exec(engines)?.[0]);
  if (!(Number.parseInt(own, 10) < wanted)) return undefined;
  return (
    `error: Tailrace runs on Node ${wanted} or newer, and this is Node ${own} (${executable}) — ` +
    `install one and put it first on the PATH`
  );
}

// Waiting on a condition: tests never wait on a clock.

/** Timers of this process that would keep it alive: ask before what is to leave none, and after it. */
export const timersInUse = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

/** Polls until `condition` holds; fails with `what` after `timeoutMs`. */
export async function waitFor<T>(
  condition: () => Promise<T | false | undefined> | T | false | undefined,
  what: string | (() => string),
  timeoutMs = 100_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== false && value !== undefined) return value;
    if (Date.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms in vain for ${typeof what === 'string' ? what : what()}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

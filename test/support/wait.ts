// Waiting on a condition: tests never wait on a clock.

/** Polls until `condition` holds; fails with `what` after `timeoutMs`. */
export async function waitFor<T>(
  condition: () => Promise<T | false | undefined> | T | false | undefined,
  what: string,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== false && value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

// Where a source's thread begins. Imports nothing: whoever warms one up (../threads/warm.ts) loads nothing else of the source.

export const SOURCE_ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
);

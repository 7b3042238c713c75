// How many requests a route of a sink that pushes may have in flight: found between two bounds (pipeline/delivery/lane-limit.ts).
import { z } from 'zod';

const MOST_LANES = 1024;
export const DEFAULT_LANES = 640;
export const DEFAULT_LANES_MIN = 8;

/** Keys of a destination; `route`: what it delivers to. */
export const laneFields = (route: string) => ({
  lanes: z
    .int()
    .min(1)
    .max(MOST_LANES)
    .default(DEFAULT_LANES)
    .describe(
      `Requests in flight for each ${route}, at most: as many as bring more are used. All of a sink: ${MOST_LANES}.`,
    ),
  lanes_min: z
    .int()
    .min(1)
    .max(MOST_LANES)
    .default(DEFAULT_LANES_MIN)
    .describe(
      'With how many that begins, and which are always there. As many as `lanes`, or more: there are always `lanes`.',
    ),
});

export type Lanes = { readonly lanes: number; readonly lanes_min: number };

export const laneLimits = ({
  lanes,
  lanes_min: least,
}: Lanes): { lanesPerRoute: number; lanesAtFirst: number } => ({
  lanesPerRoute: lanes,
  lanesAtFirst: Math.min(least, lanes),
});

// Is this a region of AWS? The ones that the SDK knows, and how names of regions are built: new ones come several times a year.
import { nearestName } from '../../core/nearest-name.ts';

/** Of every partition: a test asks the SDK whether these are all. */
const REGIONS: ReadonlySet<string> = new Set(
  `af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1
   ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1
   eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1
   me-south-1 me-west-1 mx-central-1 sa-east-1 sa-west-1 us-east-1 us-east-2 us-west-1 us-west-2 cn-north-1
   cn-northwest-1 eusc-de-east-1 us-iso-east-1 us-iso-west-1 us-isob-east-1 us-isob-west-1 eu-isoe-west-1
   us-isof-east-1 us-isof-south-1 us-gov-east-1 us-gov-west-1`.split(/\s+/),
);

const WELL_FORMED =
  /^[a-z]{2}(?:sc)?(?:-[a-z]{2,5})?-(?:central|north|south|(?:north|south)?(?:east|west))-[1-9]\d?$/;

export type RegionVerdict =
  | { readonly kind: 'known' }
  /** Built as one is, or like none that we know: it may be new, and it may not be AWS' at all. */
  | { readonly kind: 'unknown'; readonly nearest: string | undefined }
  /** No region is built so, and one looks almost like it. */
  | { readonly kind: 'mistyped'; readonly nearest: string };

export function judgeRegion(region: string): RegionVerdict {
  if (REGIONS.has(region)) return { kind: 'known' };
  const nearest = nearestName(region, REGIONS);
  if (nearest === undefined || WELL_FORMED.test(region)) return { kind: 'unknown', nearest };
  return { kind: 'mistyped', nearest };
}

/** It becomes part of a host name and of a signature. */
export const isRegionName = (text: string): boolean =>
  /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(text);

export const knownRegions = (): readonly string[] => [...REGIONS];

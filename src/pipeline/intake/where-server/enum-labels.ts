// Labels of an enum that came after the log described its table: the catalog is asked for them, once.
import type { Client } from 'pg';
import type { EnumPlaces } from '../../../functions/where/values/enums.ts';

/** So long the rows wait for an answer. */
const WAIT_MS = 3000;

export type LabelPorts = {
  /** In their order; undefined: there is no such enum. Rejects where no server answers. */
  readonly labelsOf: (oid: number) => Promise<readonly string[] | undefined>;
  /** It could not be asked. */
  readonly unanswered: (error: unknown) => void;
  /** Resolves after that time. */
  readonly sleep: (ms: number) => Promise<void>;
};

/** Resolves when the places are what the catalog has, or when nobody has said so in time. */
export const labelLookUp =
  ({ labelsOf, unanswered, sleep }: LabelPorts): ((places: EnumPlaces) => Promise<void>) =>
  async (places) => {
    try {
      places.learn(await Promise.race([labelsOf(places.oid), sleep(WAIT_MS).then(tooLate)]));
    } catch (error) {
      places.learn(undefined);
      unanswered(error);
    }
  };

function tooLate(): never {
  throw new Error(`no answer within ${WAIT_MS} ms`);
}

export async function readEnumLabels(client: Client, oid: number): Promise<readonly string[] | undefined> {
  const { rows } = await client.query<{ label: string }>(
    'select enumlabel as label from pg_catalog.pg_enum where enumtypid = $1 order by enumsortorder',
    [oid],
  );
  return rows.length === 0 ? undefined : rows.map(({ label }) => label);
}

// The step `changed`: an update that leaves the columns of `only_when_changed` as they were is settled unsent. Hot where a table has it.
import { FRAME } from '../../../pgoutput/frames.ts';
import type { SinkSettings } from '../../settings.ts';
import type { Step } from '../steps.ts';

/** Undefined: no table has such a rule. */
export function changedStep({ tables }: Pick<SinkSettings, 'tables'>): Step | undefined {
  if (tables.every(({ rules }) => rules?.onlyWhenChanged === undefined)) return undefined;
  return (rows) => {
    for (const row of rows) {
      const { isUnchanged, routeMoveOf } = row.plan;
      if (isUnchanged === undefined || row.kind !== FRAME.update || row.moved !== undefined) continue;
      const event = rows.read(row);
      // Where it was, and where it is now, must know.
      if (isUnchanged(event) && routeMoveOf?.(event) === undefined) rows.drop(row, 'unchanged');
    }
  };
}

// Reads a tailrace.yaml: its settings, and notes of what only this language can say.
import type { LoadContext } from '../context.ts';
import { ConfigError, sortFaults } from '../file/faults.ts';
import type { FileValue } from '../file/file-value.ts';
import { fileSchema } from '../schema/file.ts';
import {
  ignoredKeyNotes,
  maskedSecretNotes,
  movingNotes,
  routeMovesNotes,
  sharedBudgetNotes,
} from './cross-checks.ts';
import { passedOverNotes } from './databases.ts';
import { settingsOf, type Reading } from './settings.ts';

/** Top-level keys that mean something. */
export const TOP_LEVEL_KEYS: ReadonlySet<string> = new Set(Object.keys(fileSchema.shape));

/** Throws ConfigError with every fault. */
export async function readTailraceYaml(file: FileValue, context: LoadContext): Promise<Reading> {
  if (file.value === undefined) {
    const faults = file.faults.length > 0 ? file.faults : [file.fault([], 'this file is empty')];
    throw new ConfigError(sortFaults(faults));
  }
  const reading = await settingsOf(file, context);
  return {
    ...reading,
    notes: [
      ...reading.notes,
      ...ignoredKeyNotes(file),
      ...maskedSecretNotes(file),
      ...passedOverNotes(file),
      ...sharedBudgetNotes(reading.config),
      ...movingNotes(reading.config),
      ...routeMovesNotes(reading.config),
    ],
  };
}

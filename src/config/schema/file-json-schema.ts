// The JSON Schema of tailrace.yaml, made once. In what is built this module holds the text of the result (scripts/build.ts): making
// it takes longer than all the rest of reading a configuration.
import { fileSchema } from './file.ts';
import { jsonSchemaOf, type JsonSchema } from './json-schema.ts';

let schema: JsonSchema | undefined;

/** Of tailrace.yaml as it is written. */
export const jsonSchemaOfFile = (): JsonSchema => (schema ??= jsonSchemaOf(fileSchema));

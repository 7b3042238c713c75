// Settings that may be shown: every secret replaced. Invariant 9.
import type { ServiceSettings } from '../pipeline/settings.ts';
import { sinkDefinition } from '../sinks/registry.ts';
import { jsonSchemaOf, propertyOf, walkSchema } from './schema/json-schema.ts';
import { setAt } from './file/file-value.ts';

export const REDACTED = '***';

/** A copy without passwords, tokens, private keys, and what a sink's schema marks as secret or does not know. */
export function redact(settings: ServiceSettings): ServiceSettings {
  return {
    ...settings,
    api: { ...settings.api, tokens: settings.api.tokens.map(() => REDACTED) },
    metrics: {
      ...settings.metrics,
      ...(settings.metrics.login && { login: { ...settings.metrics.login, password: REDACTED } }),
    },
    databases: settings.databases.map((database) => ({
      ...database,
      password: REDACTED,
      tls: {
        ...database.tls,
        ...(database.tls.key !== undefined && { key: REDACTED }),
        ...(database.tls.keyPassphrase !== undefined && { keyPassphrase: REDACTED }),
      },
    })),
    sinks: settings.sinks.map((sink) => ({
      ...sink,
      ...(sink.maskKey !== undefined && { maskKey: REDACTED }),
      destination: { ...sink.destination, config: redactDestination(sink.destination) },
    })),
  };
}

function redactDestination({ type, config }: { type: string; config: unknown }): unknown {
  const definition = sinkDefinition(type);
  if (definition === undefined) return REDACTED;
  const schema = jsonSchemaOf(definition.config);
  const copy = structuredClone(config) as object;
  for (const key of Object.keys(copy))
    if (propertyOf(schema, key) === undefined) setAt(copy, [key], REDACTED);
  walkSchema(schema, copy, (path, schema) => {
    if (schema.secret !== true) return;
    setAt(copy, path, REDACTED);
  });
  return copy;
}

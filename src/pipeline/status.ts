// The service's status document, under the pipeline's name: its parts report it, telemetry (a lower layer) reads it.
export type * from '../core/status.ts';

import type * as Api from '@opentelemetry/api';
import { optionalPeer } from '../optional-peer.js';

export type OpenTelemetry = typeof Api;

let loaded: OpenTelemetry | undefined;

/** OpenTelemetry's API. @throws {MissingPackageError} if it is not installed. */
export function openTelemetry(): OpenTelemetry {
  loaded ??= optionalPeer('@opentelemetry/api', 'Tracing (@umbel/core/opentelemetry)') as OpenTelemetry;
  return loaded;
}

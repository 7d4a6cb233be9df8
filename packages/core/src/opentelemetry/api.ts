import type * as Api from '@opentelemetry/api';
import { optionalPeer } from '../optional-peer.js';

export type OpenTelemetry = typeof Api;

let loaded: OpenTelemetry | undefined;

/** OpenTelemetry's API. @throws {MissingPackageError} if it is not installed. */
export function openTelemetry(): OpenTelemetry {
  loaded ??= optionalPeer(
    '@opentelemetry/api',
    'Tracing (@umbel/core/opentelemetry)',
    bundled,
  ) as OpenTelemetry;
  return loaded;
}

/** In a bundle. In the files of this package there is no `require`; nor is there a package that was left out. */
function bundled(): unknown {
  try {
    return require('@opentelemetry/api');
  } catch {
    return undefined;
  }
}

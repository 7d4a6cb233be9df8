import type * as Client from 'prom-client';
import { optionalPeer } from '../optional-peer.js';

export type PromClient = typeof Client;

/** @throws {MissingPackageError} if it is not installed. */
export function promClient(): PromClient {
  return optionalPeer('prom-client', 'Metrics (@umbel/core/prometheus)', bundled) as PromClient;
}

/** In a bundle. In the files of this package there is no `require`; nor is there a package that was left out. */
function bundled(): unknown {
  try {
    return require('prom-client');
  } catch {
    return undefined;
  }
}

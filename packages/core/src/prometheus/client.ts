import type * as Client from 'prom-client';
import { optionalPeer } from '../optional-peer.js';

export type PromClient = typeof Client;

/** @throws {MissingPackageError} if it is not installed. */
export function promClient(): PromClient {
  return optionalPeer('prom-client', 'Metrics (@umbel/core/prometheus)') as PromClient;
}

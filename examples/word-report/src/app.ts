import { createApp } from '@umbel/core';
import { memory } from '@umbel/testing';
import { note } from './terminal.js';

/** The store that workers in other processes share, if there is one. */
export const storeUrl = process.env.UMBEL_URL || undefined;

/** Redis where `UMBEL_URL` names one; else the memory engine, which lives and ends with this process. */
export const app = createApp({
  name: 'word-report',
  connection: storeUrl ?? memory(),
  resultTtl: '10m', // texts are among the results, and of no use once the report is written
  failureTtl: '1h',
  logger: { info: note, warn: note, error: note }, // above the progress bar, not into it
});

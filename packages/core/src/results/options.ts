/** The options of handles, which are read in the same way by those of jobs and of what needed no job. */
import { checkOptions, type OptionNames } from '../tasks/known-options.js';
import { checkBoolean, checkInteger } from '../tasks/options.js';
import type { GetOptions, RevokeOptions } from './async-result.js';
import type { PageOptions } from './member-outcome.js';

const GET: OptionNames<GetOptions> = { timeout: true, signal: true, allowInTask: true };
const PAGE: OptionNames<PageOptions> = { offset: true, limit: true };
const REVOKE: OptionNames<RevokeOptions> = { terminate: true };

/** Members that are read at most. */
const MAX_LIMIT = 10_000;

/** A part of the members, in declared order. */
export interface Range {
  readonly offset: number;
  readonly limit: number;
}

/** @throws {InvalidOptionError} */
export function checkGet(options: GetOptions): GetOptions {
  return checkOptions(options, GET);
}

/** @throws {InvalidOptionError} unless they are whole numbers. */
export function rangeOf(options: PageOptions): Range {
  const { offset = 0, limit = 100 } = checkOptions(options, PAGE);
  return {
    offset: checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER),
    limit: checkInteger('limit', limit, 1, MAX_LIMIT),
  };
}

/** Whether attempts that run are given up, too. @throws {InvalidOptionError} */
export function isTerminating(options: RevokeOptions): boolean {
  const { terminate = false } = checkOptions(options, REVOKE);
  return checkBoolean('terminate', terminate);
}

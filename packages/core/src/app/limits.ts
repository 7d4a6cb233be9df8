/** The option `limits` of an app. `app.ts` checks its names, `wiring.ts` its values. */
import { checkInteger, checkOptions, type OptionNames } from '../base/option-checks.js';

/** Maximum sizes. Larger values are refused before they are stored. */
export interface Limits {
  /**
   * Maximum size of an input, in bytes of JSON. Default 1 MiB. Inputs that steps combine may be larger: a worker refuses a
   * stored input only if it exceeds this limit and 32 MiB.
   */
  inputBytes?: number | undefined;
  /** Maximum size of a result, of progress and of the data of a failure, in bytes of JSON. Default 1 MiB. */
  resultBytes?: number | undefined;
  /**
   * Maximum number of members of a group, and of jobs of a `map` or `chunks`, that come from a list. Default 10,000.
   * Members that are read while they are sent do not count.
   */
  groupMembers?: number | undefined;
}

const LIMITS: OptionNames<Limits> = { inputBytes: true, resultBytes: true, groupMembers: true };

/** @throws {InvalidOptionError} if an option is unknown. */
export function checkLimits(limits: Limits | undefined): void {
  if (limits !== undefined) checkOptions(limits, LIMITS, { option: 'limits', above: 'limits.' });
}

const MEBIBYTE = 1_048_576;
/** Default maximum of members of one group that are planned at once. */
const GROUP_MEMBERS = 10_000;

/** Returns the maximum sizes. @throws {InvalidOptionError} if one is invalid. */
export function maximaOf({ inputBytes, resultBytes, groupMembers = GROUP_MEMBERS }: Limits = {}): {
  readonly maxMembers: number;
  readonly maxInputBytes: number;
  readonly maxResultBytes: number;
} {
  return {
    maxMembers: checkInteger('limits.groupMembers', groupMembers, 1, 100_000_000),
    maxInputBytes: sizeOf('limits.inputBytes', inputBytes),
    maxResultBytes: sizeOf('limits.resultBytes', resultBytes),
  };
}

function sizeOf(option: string, bytes = MEBIBYTE): number {
  return checkInteger(option, bytes, 1, 512 * MEBIBYTE); // maximum size of a value in Redis
}

/** Stored results with a meaning for workflows: the early end of a chain, a reference to a long list, a value passed on. */
import { isPlainObject } from '../base/text.js';
import { LEFT_OUT, MEMBERS, PASSED, STOPPED } from '../codec/json.js';
import type { Source } from './job-tree.js';
import { isSource } from './tree-checks.js';

/** The result of a step that ended its chain early, and of the steps after it, which were skipped. */
export interface Stopped {
  /** The path of the chain. */
  readonly [STOPPED]: string;
  /** The path of the step that ended it. */
  readonly by: string;
  readonly value: unknown;
}

/** A reference to the results of a large group, which are read from its members. */
export interface MembersReference {
  readonly [MEMBERS]: Source;
}

export function stopped(chain: string, by: string, value: unknown): Stopped {
  return { [STOPPED]: chain, by, value: value ?? null };
}

export function isStopped(value: unknown): value is Stopped {
  return isPlainObject(value) && typeof value[STOPPED] === 'string';
}

/** Returns the path of the chain that ended early. */
export function stoppedChain(mark: Stopped): string {
  return mark[STOPPED];
}

export function membersReference(source: Source): MembersReference {
  return { [MEMBERS]: source };
}

/** Returns the source of the results, if the value is a reference to those of a large group. */
export function referredMembers(value: unknown): Source | undefined {
  const members = isPlainObject(value) ? value[MEMBERS] : undefined;
  return isSource(members) && isSliced(members as Source) ? (members as Source) : undefined; // checked by `isSource`
}

/** Only members in slices are read in bulk. Others would be read one by one, and a forged count could be huge. */
function isSliced(source: Source): boolean {
  return !('step' in source) && source.sliced === true;
}

/** Returns the result of a fan-out that adds no job and passes its value on. */
export function passedOn(value: unknown): object {
  return { [PASSED]: value === undefined ? [] : [value] };
}

export function isPassedOn(value: unknown): boolean {
  return isPlainObject(value) && Array.isArray(value[PASSED]);
}

/** Returns the value that a fan-out passed on. */
export function passedValue(mark: unknown): unknown {
  const passed = isPlainObject(mark) ? mark[PASSED] : undefined;
  return Array.isArray(passed) ? passed[0] : undefined;
}

/** Longer results are not copied into events. This is the size of one node of a Redis stream, in bytes. */
const MAX_EVENT_RESULT = 4096;

/** Returns whether the JSON of a result is too long for an event. */
export function isLongText(text: unknown): boolean {
  return typeof text === 'string' && text.length > MAX_EVENT_RESULT;
}

/** Returns the JSON that replaces a long result in an event: the length of the result. The job itself has the result. */
export function leftOutText(text: string): string {
  return JSON.stringify({ [LEFT_OUT]: text.length });
}

/** Returns whether the result of an event was replaced because it is long. The job itself has the result. */
export function isLeftOut(value: unknown): boolean {
  return isPlainObject(value) && typeof value[LEFT_OUT] === 'number';
}

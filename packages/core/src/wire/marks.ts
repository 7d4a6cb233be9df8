/** Stored results that are not a task's own: an early end of a chain, a list too long to copy, a value given on. */
import type { Source } from '../flow/node.js';
import { isSource } from '../flow/shape.js';
import { isPlainObject } from './plain-object.js';

const STOPPED = 'umbel:stopped';
const MEMBERS = 'umbel:members';
const PASSED = 'umbel:passed';
/** With the length of the result that it stands for. */
export const LEFT_OUT = 'umbel:stored';

const RESERVED = [STOPPED, MEMBERS, PASSED, LEFT_OUT];

/** The result of a step that ended its chain early, and of the steps after it, which were skipped. */
export interface Stopped {
  /** The path of the chain. */
  readonly [STOPPED]: string;
  /** The path of the step that ended it. */
  readonly by: string;
  readonly value: unknown;
}

/** Stands for the results of a large group, which are read from its members. */
export interface MembersReference {
  readonly [MEMBERS]: Source;
}

export function stopped(chain: string, by: string, value: unknown): Stopped {
  return { [STOPPED]: chain, by, value: value ?? null };
}

export function isStopped(value: unknown): value is Stopped {
  return isPlainObject(value) && typeof value[STOPPED] === 'string';
}

/** The chain that ended early. */
export function stoppedChain(mark: Stopped): string {
  return mark[STOPPED];
}

export function membersReference(source: Source): MembersReference {
  return { [MEMBERS]: source };
}

/** Where the results are, if the value stands for those of a large group. */
export function referredMembers(value: unknown): Source | undefined {
  const members = isPlainObject(value) ? value[MEMBERS] : undefined;
  return isSource(members) && isSliced(members as Source) ? (members as Source) : undefined; // which was checked
}

/** Only the members of slices are read together; of others, each would be looked for, however many are said to be. */
function isSliced(source: Source): boolean {
  return !('step' in source) && source.sliced === true;
}

/** The result of a fan-out that adds nothing and gives its own value on. */
export function passedOn(value: unknown): object {
  return { [PASSED]: value === undefined ? [] : [value] };
}

export function isPassedOn(value: unknown): boolean {
  return isPlainObject(value) && Array.isArray(value[PASSED]);
}

/** The value that a fan-out has given on. */
export function passedValue(mark: unknown): unknown {
  const given = isPlainObject(mark) ? mark[PASSED] : undefined;
  return Array.isArray(given) ? given[0] : undefined;
}

/** Longer results are not copied into events: as many bytes as one part of a stream in Redis has. */
const LONG_RESULT = 4096;

/** Whether the JSON text of a result is too long for an event. */
export function isLongText(text: unknown): boolean {
  return typeof text === 'string' && text.length > LONG_RESULT;
}

/** Stands for a long result in the event of its job, which has it: JSON text, with the length of the result's. */
export function leftOutText(text: string): string {
  return JSON.stringify({ [LEFT_OUT]: text.length });
}

/** Whether an event has no result but what stands for it: then the job has it. */
export function isLeftOut(value: unknown): boolean {
  return isPlainObject(value) && typeof value[LEFT_OUT] === 'number';
}

/** The key of a value that Umbel keeps for its own results; undefined for every other value. */
export function reservedKey(value: unknown): string | undefined {
  if (!isPlainObject(value)) return undefined;
  return RESERVED.find((key) => key in value);
}

/** Checks of stored parts of a job tree, as far as this package relies on them. */
import { absentOr, type Check, isCount, isListOf, isText, isTrue } from '../base/option-checks.js';
import { isPlainObject } from '../base/text.js';
import { isAmount, isSleep } from './pause.js';

/** Excludes `__proto__`, which would set the prototype of an object that is built with it. */
export const isKey: Check = (value) => isText(value) && value !== '__proto__';
const isQueue: Check = (value) => typeof value === 'string' && value !== '' && !value.includes(':');

/** A larger number of members is certainly forged. */
const MAX_MEMBERS = 1_000_000_000;
/** A possible number of members. */
export const isSize: Check = (value) => isCount(value) && Number(value) <= MAX_MEMBERS;

const isChunkSize: Check = (value) => isCount(value) && Number(value) > 0;

/** A `Source`. */
export const isSource: Check = (value) => {
  if (!isPlainObject(value)) return false;
  if (!absentOr(isTrue)(value.ignored) || !absentOr(isTrue)(value.flat)) return false;
  if (!absentOr(isText)(value.via)) return false;
  if ('step' in value) return isText(value.step);
  if (!absentOr(isSize)(value.first) || !absentOr(isTrue)(value.settled) || !absentOr(isTrue)(value.sliced))
    return false;
  if ('list' in value)
    return (
      isText(value.list) &&
      absentOr(isTrue)(value.chunked) &&
      (isSize(value.count) || (value.count === undefined && isText(value.via)))
    );
  return isText(value.record) && isListOf(isKey)(value.keys);
};

/** A `JoinRule`. */
export const isJoinRule: Check = (value) =>
  isPlainObject(value) &&
  absentOr(isCount)(value.need) &&
  absentOr(isTrue)(value.single) &&
  absentOr(isTrue)(value.cancel) &&
  absentOr(isTrue)(value.abort);

/** A `JobNode`. Its input and options are checked when its job runs. */
export const isNode: Check = (value) =>
  isPlainObject(value) &&
  isText(value.path) &&
  isText(value.name) &&
  isQueue(value.queue) &&
  absentOr(isPlainObject)(value.options) &&
  absentOr(isPlainObject)(value.content) &&
  absentOr(isKey)(value.into) &&
  absentOr(isSource)(value.after) &&
  absentOr(isExpansion)(value.expand) &&
  absentOr(isJoinRule)(value.join) &&
  absentOr(isSleep)(value.sleep) &&
  absentOr(isPlainObject)(value.wait) &&
  absentOr(isTrue)(value.mayFail) &&
  absentOr(isCount)(value.offset) &&
  absentOr(isCallbacks)(value.callbacks) &&
  absentOr(isListOf(isNode))(value.children);

/** An `Expansion`. */
export const isExpansion: Check = (value) => {
  if (!isPlainObject(value) || !isParent(value.parent)) return false;
  if ('members' in value)
    return (
      isListOf(isNode)(value.members) && absentOr(isSlice)(value.slice) && absentOr(isTrue)(value.passes)
    );
  if ('each' in value)
    return (
      isNode(value.each) &&
      isText(value.list) &&
      absentOr(isListOf(isKey))(value.keys) &&
      absentOr(isChunkSize)(value.chunkSize)
    );
  if ('body' in value)
    return (
      isNode(value.body) &&
      isUntil(value.until) &&
      isChunkSize(value.max) &&
      absentOr(isCount)(value.everyMs) &&
      absentOr(isBudget)(value.budget)
    );
  if ('cases' in value)
    return isText(value.key) && isPlainObject(value.cases) && Object.values(value.cases).every(isNode);
  return (
    absentOr(isPlainObject)(value.condition) &&
    absentOr(isTested)(value.tested) &&
    isNode(value.onTrue) &&
    absentOr(isNode)(value.onFalse)
  );
};

const isUntil: Check = (value) =>
  isPlainObject(value) && ('step' in value ? isNode(value.step) : isPlainObject(value.condition));

const isBudget: Check = (value) => isPlainObject(value) && isText(value.key) && isAmount(value.max);

const isParent: Check = (value) => isPlainObject(value) && isText(value.path) && isQueue(value.queue);

const isSlice: Check = (value) => isPlainObject(value) && isText(value.list) && isCount(value.first);

const isTested: Check = (value) => isPlainObject(value) && isText(value.step) && isText(value.value);

/** A `Fed`. */
export const isFed: Check = (value) =>
  isPlainObject(value) && ('error' in value ? isPlainObject(value.error) : isSize(value.count));

/** `Callbacks`. */
export const isCallbacks: Check = (value) =>
  isPlainObject(value) &&
  absentOr(isListOf(isNode))(value.success) &&
  absentOr(isListOf(isNode))(value.failure) &&
  absentOr(isListOf(isNode))(value.always);

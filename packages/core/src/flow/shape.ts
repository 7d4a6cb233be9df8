/** Whether stored data has the shape of a part of a run, as far as this package relies on it. */
import { isPlainObject } from '../wire/json.js';

type Check = (value: unknown) => boolean;

export const isText: Check = (value) => typeof value === 'string';
const isQueue: Check = (value) => typeof value === 'string' && value !== '' && !value.includes(':');
const isCount: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;

const isListOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);

const absentOr =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

/** A `Source`. */
export const isSource: Check = (value) => {
  if (!isPlainObject(value)) return false;
  if ('ignored' in value) return value.ignored === true;
  if ('step' in value) return isText(value.step);
  if ('list' in value) return isText(value.list) && isCount(value.count);
  return isText(value.record) && isListOf(isText)(value.keys);
};

/** A `FlowNode`. Its input and its options are checked by the job that it becomes. */
const isNode: Check = (value) =>
  isPlainObject(value) &&
  isText(value.path) &&
  isText(value.name) &&
  isQueue(value.queue) &&
  absentOr(isPlainObject)(value.options) &&
  absentOr(isPlainObject)(value.content) &&
  absentOr(isText)(value.into) &&
  absentOr(isSource)(value.after) &&
  absentOr(isExpansion)(value.expand) &&
  absentOr(isCallbacks)(value.callbacks) &&
  absentOr(isListOf(isNode))(value.children);

/** An `Expansion`. */
export const isExpansion: Check = (value) =>
  isPlainObject(value) &&
  isPlainObject(value.parent) &&
  isText(value.parent.path) &&
  isQueue(value.parent.queue) &&
  isListOf(isNode)(value.members);

/** `Callbacks`. */
export const isCallbacks: Check = (value) =>
  isPlainObject(value) &&
  absentOr(isListOf(isNode))(value.success) &&
  absentOr(isListOf(isNode))(value.failure);

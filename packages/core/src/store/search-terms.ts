/**
 * This module defines the terms of the search index: texts by which the index of tags finds jobs that have no tag. With
 * `searchIndex`, senders note the task of each job, and workers the error of each job that failed for good.
 */
import type { ErrorRecord } from '../base/errors.js';

/** Start of each term. No tag is that long, so no tag is a term. */
export const TERM_START = ' '.repeat(201);

/** Maximum number of groups of a task: `a.b.c` is in the groups `a.*` and `a.b.*`. Each takes an entry of the index. */
const MAX_GROUPS = 4;
/** Maximum length of the name of an error in the index. */
const MAX_ERROR = 200;
/** Most programs have fewer tasks; a program with more computes their terms again. */
const MAX_KNOWN = 1000;

const known = new Map<string, readonly string[]>();

/** Returns the terms of a task: its name, and the groups that it is in. */
export function taskTerms(task: string): readonly string[] {
  let terms = known.get(task);
  if (terms === undefined) {
    const parts = task.split('.').slice(0, -1);
    const groups = parts.slice(0, MAX_GROUPS).map((_, index) => `${parts.slice(0, index + 1).join('.')}.*`);
    terms = [task, ...groups].map(termOfTask);
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(task, terms);
  }
  return terms;
}

/** Returns the term of a task or of a group, such as `mail.*`; undefined if the index does not contain the group. */
export function searchedTaskTerm(task: string): string | undefined {
  return isGroup(task) && task.split('.').length > MAX_GROUPS + 1 ? undefined : termOfTask(task);
}

/** Whether a task has this name, or is in this group. */
export function isTaskNamed(task: string, searched: string): boolean {
  return isGroup(searched) ? task.startsWith(searched.slice(0, -1)) : task === searched;
}

/** Returns the terms of an error. */
export function errorTerms(error: Pick<ErrorRecord, 'name' | 'code'>): readonly string[] {
  return namesOf(error).map(errorTerm);
}

/** Returns the term of the name or code of an error. */
export function errorTerm(name: string): string {
  return `${TERM_START}error ${name}`;
}

/** Whether an error has this name, with or without `Error` at its end, or this code. */
export function isErrorNamed(error: Pick<ErrorRecord, 'name' | 'code'>, searched: string): boolean {
  return namesOf(error).includes(searched);
}

function termOfTask(task: string): string {
  return `${TERM_START}task ${task}`;
}

function isGroup(searched: string): boolean {
  return searched.endsWith('.*');
}

function namesOf({ name, code }: Pick<ErrorRecord, 'name' | 'code'>): string[] {
  const names = [name, name.replace(/Error$/, ''), ...(code === undefined ? [] : [String(code)])];
  return [...new Set(names.map((each) => each.slice(0, MAX_ERROR)))].filter((each) => each !== '');
}

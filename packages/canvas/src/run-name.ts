/**
 * This module names runs. Lists of runs show the name that `named` gives, or else the tasks of the workflow:
 * `fetch → [words, links] → publish`. The name is stored with the run, so that a list reads nothing else.
 */
import { match } from 'ts-pattern';
import type { NormalExpression, NormalGroup, NormalMember } from './normalize.js';

/** Maximum number of characters of a name that is made from tasks. */
const MAX_CHARACTERS = 100;
/** How many members of a group are read. */
const MAX_MEMBERS = 1000;
/** How many members of a group are named. */
const SHOWN_MEMBERS = 3;
/** Deeper parts of a workflow do not fit into a name. */
const MAX_DEPTH = 10;

/** Returns the name of a run of a workflow that has no name of its own. */
export function runNameOf(expression: NormalExpression): string {
  const name = partName(expression, 0);
  return name.length > MAX_CHARACTERS ? `${name.slice(0, MAX_CHARACTERS - 1)}…` : name;
}

function partName(part: NormalMember, depth: number): string {
  if (part.kind === 'task') return part.task;
  if (depth === MAX_DEPTH) return '…';
  const inside = (inner: NormalMember) => partName(inner, depth + 1);
  return match(part)
    .with({ kind: 'chain' }, ({ steps }) => joined(steps, ' → ', inside))
    .with({ kind: 'group' }, (group) => groupName(group, inside))
    .with({ kind: 'each' }, ({ step }) => `map(${inside(step)})`)
    .with({ kind: 'match' }, ({ cases }) => `match(${joined(Object.values(cases), ', ', inside)})`)
    .with({ kind: 'when' }, ({ onTrue, onFalse }) =>
      onFalse === undefined ? `when(${inside(onTrue)})` : `when(${inside(onTrue)}, ${inside(onFalse)})`,
    )
    .with({ kind: 'fallback' }, ({ step, other }) => `fallback(${inside(step)}, ${inside(other)})`)
    .with({ kind: 'flat' }, ({ step }) => `flat(${inside(step)})`)
    .with({ kind: 'loop' }, ({ body }) => `loop(${inside(body)})`)
    .with({ kind: 'sleep' }, () => 'sleep')
    .with({ kind: 'waitFor' }, ({ signal }) => `waitFor(${signal})`)
    .with({ kind: 'linked' }, { kind: 'given' }, ({ step }) => inside(step))
    .with({ kind: 'chunk' }, ({ task }) => task.task)
    .exhaustive();
}

/** Names members that are alike once, with their number. Lazy members are not read. */
function groupName({ members, keys }: NormalGroup, inside: (member: NormalMember) => string): string {
  if ('read' in members) return 'group';
  if (members.length === 0) return '[]';
  const names = new Set<string>();
  for (const member of members.slice(0, MAX_MEMBERS)) {
    names.add(inside(member));
    if (names.size > SHOWN_MEMBERS) break;
  }
  const [first = ''] = names;
  if (names.size === 1 && keys === undefined)
    return members.length === 1 ? `[${first}]` : `[${first} × ${members.length}]`;
  const shown = [...names].slice(0, SHOWN_MEMBERS).join(', ');
  return names.size > SHOWN_MEMBERS ? `[${shown}, …]` : `[${shown}]`;
}

/** Joins names until the text is long enough. */
function joined(
  parts: readonly NormalMember[],
  separator: string,
  inside: (part: NormalMember) => string,
): string {
  let text = '';
  for (const part of parts) {
    text += text === '' ? inside(part) : `${separator}${inside(part)}`;
    if (text.length > MAX_CHARACTERS) break;
  }
  return text;
}

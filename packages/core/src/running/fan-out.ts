/** The jobs that add what is known only once an earlier step has given its result. */
import { CorruptJobError, ValidationError } from '../errors.js';
import { fulfils } from '../flow/condition.js';
import { nodesOf, relocated, withNodes } from '../flow/expansion.js';
import { fill } from '../flow/input.js';
import { linked } from '../flow/links.js';
import type { EachExpansion, FlowNode, MatchExpansion, WhenExpansion } from '../flow/node.js';
import { SLICE } from '../flow/node.js';
import { openTree } from '../flow/seal.js';
import { sliced } from '../flow/slices.js';
import type { Envelope } from '../wire/envelope.js';
import { passedOn } from '../wire/marks.js';
import { isPlainObject } from '../wire/plain-object.js';
import type { ActiveJob } from './job.js';
import type { Joins } from './joins.js';
import { addMembers } from './members.js';
import type { ExecutorParts } from './parts.js';
import { linksFor } from './tracing.js';

/** Spans that each of the jobs which a fan-out adds is linked to: they are stored with every one. */
const MEMBER_LINKS = 32;

/** Adds what the job's expansion says, for this value; gives what the job that waits for it has to know. */
export async function expand(
  parts: ExecutorParts,
  joins: Joins,
  job: ActiveJob,
  envelope: Envelope,
  value: unknown,
): Promise<unknown> {
  const { run, expand: stored } = envelope;
  if (run === undefined || stored === undefined)
    throw new CorruptJobError(job.id, 'a fan-out without members');
  const nodes: FlowNode[] = [];
  for (const node of nodesOf(stored)) nodes.push(await openTree(parts.sealer, run, node));
  const expansion = withNodes(stored, nodes);
  const links = await linksFor(parts, job, envelope, MEMBER_LINKS);
  const add = (members: readonly FlowNode[]) =>
    addMembers(
      parts,
      job,
      { run, parent: expansion.parent, members: members.map((member) => linked(member, links)) },
      { stops: true },
    );
  if ('members' in expansion) {
    const members = expansion.members.map((member) => fill(member, value));
    const { slice } = expansion;
    await add(slice === undefined ? members : sliced(slice.list, slice.first, members));
    return expansion.passes ? passedOn(value) : { count: members.length };
  }
  if ('each' in expansion) {
    const members = membersFor(expansion, value, parts.maxMembers);
    const isSliced = members.length > SLICE;
    await add(isSliced ? sliced(expansion.list, 0, members) : members);
    return { count: members.length, ...(isSliced && { sliced: true }) };
  }
  const chosen =
    'cases' in expansion
      ? caseFor(expansion, value)
      : await branchFor(joins, job, envelope, expansion, value);
  if (chosen === undefined) return passedOn(value);
  await add([fill(chosen, value)]);
  return { taken: nodesOf(expansion).indexOf(chosen) };
}

function membersFor(
  { each, list, keys, chunkSize }: EachExpansion,
  value: unknown,
  limit: number,
): FlowNode[] {
  if (!Array.isArray(value)) {
    throw refused(
      each.name,
      'input',
      `this step runs over a list, and the step before it gave ${nameOf(value)}`,
    );
  }
  const count = Math.ceil(value.length / (chunkSize ?? 1));
  if (count > limit) {
    throw refused(
      each.name,
      'input',
      `this step runs over a list that makes ${count} jobs, the limit is ${limit}; raise createApp({ limits })`,
    );
  }
  const items = keys === undefined ? value : value.map((row, index) => zipped(each.name, keys, row, index));
  const at = (index: number) => relocated(each, `${list}.*`, `${list}.${index}`);
  if (chunkSize === undefined) return items.map((item, index) => fill(at(index), item ?? null));
  const chunks: FlowNode[] = [];
  for (let offset = 0; offset < items.length; offset += chunkSize) {
    const { open: _open, ...node } = at(chunks.length);
    chunks.push({ ...node, items: items.slice(offset, offset + chunkSize), offset });
  }
  return chunks;
}

function zipped(task: string, keys: readonly string[], row: unknown, index: number): unknown {
  if (!Array.isArray(row) || row.length !== keys.length) {
    const given = Array.isArray(row) ? `a list of ${row.length}` : nameOf(row);
    throw refused(
      task,
      `input[${index}]`,
      `expected a list of ${keys.length} values (${keys.join(', ')}), got ${given}`,
    );
  }
  return Object.fromEntries(keys.map((key, place) => [key, row[place]]));
}

function caseFor({ key, cases }: MatchExpansion, value: unknown): FlowNode {
  const name = isPlainObject(value) ? value[key] : undefined;
  const known = Object.keys(cases);
  const chosen = known.find((own) => own === String(name));
  const node = chosen === undefined ? undefined : cases[chosen];
  if (
    node !== undefined &&
    (typeof name === 'string' || typeof name === 'number' || typeof name === 'boolean')
  )
    return node;
  const list = known.map((own) => `"${own}"`).join(', ');
  throw refused(
    'match',
    `input.${key}`,
    `expected one of ${list}, got ${typeof name === 'string' ? `"${name}"` : nameOf(name)}`,
  );
}

async function branchFor(
  joins: Joins,
  job: ActiveJob,
  envelope: Envelope,
  { condition, tested, onTrue, onFalse }: WhenExpansion,
  value: unknown,
): Promise<FlowNode | undefined> {
  if (condition !== undefined) return fulfils(value, condition) ? onTrue : onFalse;
  if (tested === undefined) throw new CorruptJobError(job.id, 'a branch without a condition');
  const answer = await joins.valueOf(job, { ...envelope, after: { step: tested.step } });
  if (typeof answer === 'boolean') return answer ? onTrue : onFalse;
  throw refused(
    'when',
    'input',
    `the step that decides has to give true or false, it gave ${nameOf(answer)}`,
  );
}

function refused(task: string, path: string, message: string): ValidationError {
  return new ValidationError(task, 'input', [{ path, message }]);
}

function nameOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

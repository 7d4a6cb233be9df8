/** Constructs of which a part is added once a value is known. */
import { type Expansion, INTERNAL_JOB } from '@umbel/core/internal';
import type { NormalEach, NormalFallback, NormalMatch, NormalWhen } from '../normalize.js';
import { type Feed, fanOut, internal, internalPlace, one, type PartPlanner, type Place } from './feed.js';
import { checkKeys } from './refusals.js';

/** One step for each value of a list. */
export function planEach(
  planner: PartPlanner,
  { step, keys, chunkSize }: NormalEach,
  { path, parent, incoming }: Place,
): Feed {
  checkKeys(keys);
  const fan = `${path}-fan`;
  const expansion: Expansion = {
    parent,
    each: planner.later(step, `${path}.*`),
    list: path,
    ...(keys !== undefined && { keys }),
    ...(chunkSize !== undefined && { chunkSize }),
  };
  return {
    after: { list: path, via: fan, ...(chunkSize !== undefined && { chunked: true }) },
    children: [fanOut(fan, expansion, incoming)],
  };
}

export function planMatch(planner: PartPlanner, { key, cases }: NormalMatch, place: Place): Feed {
  const nodes = Object.entries(cases).map(([name, step]) => [name, planner.later(step, `${place.path}^`)]);
  return branch({ parent: place.parent, key, cases: Object.fromEntries(nodes) }, place);
}

export function planWhen(planner: PartPlanner, { test, onTrue, onFalse }: NormalWhen, place: Place): Feed {
  const { path, parent, incoming } = place;
  const branches = {
    onTrue: planner.later(onTrue, `${path}^`),
    ...(onFalse !== undefined && { onFalse: planner.later(onFalse, `${path}^`) }),
  };
  if ('condition' in test) return branch({ parent, condition: test.condition, ...branches }, place);
  // The step that decides and the one that is chosen both need the value: a first fan-out hands it to both.
  const [decides, value, step] = [`${path}-fan`, `${path}-in`, `${path}^t`];
  const expansion = {
    parent: internalPlace(decides),
    members: [planner.later(test.step, step)],
    passes: true,
  } as const;
  const first = fanOut(value, expansion, incoming);
  const after = () => ({ after: { step: value, via: value }, children: [first] });
  return branch({ parent, tested: { step, value }, ...branches }, { ...place, incoming: after });
}

export function planFallback(
  planner: PartPlanner,
  { step, other }: NormalFallback,
  { path, incoming }: Place,
): Feed {
  const parent = internalPlace(path);
  const feed = planner.feed(step, { path: `${path}^`, parent, incoming });
  const members = [planner.later(other, `${path}^b`)];
  return one({ ...internal(INTERNAL_JOB.fallback, path, feed), expand: { parent, members } });
}

/** A fan-out that adds one step, or gives its own value on. */
function branch(expansion: Expansion, { path, incoming }: Place): Feed {
  if ('cases' in expansion) checkKeys(Object.keys(expansion.cases));
  if ('condition' in expansion) checkKeys(Object.keys(expansion.condition ?? {}));
  const fan = `${path}-fan`;
  return { after: { step: `${path}^`, via: fan }, children: [fanOut(fan, expansion, incoming)] };
}

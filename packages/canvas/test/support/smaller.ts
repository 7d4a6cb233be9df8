/** Makes a composition with a fault smaller, as long as the fault stays. */
import type { Spec } from './random-specs.js';

const SECONDS = 60;

/** The smallest one found for which `fails` gives an error, with that error. */
export async function smallest(
  spec: Spec,
  error: unknown,
  fails: (spec: Spec) => Promise<unknown>,
): Promise<{ spec: Spec; error: unknown }> {
  const end = performance.now() + SECONDS * 1000;
  let found = { spec, error };
  search: for (;;) {
    for (const candidate of smallerThan(found.spec)) {
      if (performance.now() > end) return found;
      const other = await fails(candidate);
      if (other === undefined) continue;
      found = { spec: candidate, error: other };
      continue search;
    }
    return found;
  }
}

const MIX: Spec = { is: 'node', does: 'mix' };

function* smallerThan(spec: Spec): Generator<Spec> {
  if (spec.is === 'node') {
    if (spec.does !== 'mix' || spec.fixed) yield MIX;
    return;
  }
  if (spec.is === 'wide' && spec.width > 101) yield { ...spec, width: 101 };
  for (const part of specsIn(spec)) yield part;
  yield MIX;
  yield* withLess(spec) as Generator<Spec>;
}

function isSpec(value: unknown): value is Spec {
  return typeof value === 'object' && value !== null && 'is' in value;
}

function* specsIn(value: object): Generator<Spec> {
  for (const inner of Object.values(value)) {
    if (isSpec(inner)) yield inner;
    else if (typeof inner === 'object' && inner !== null) yield* specsIn(inner);
  }
}

/** The same with one of its parts smaller, or left out. */
function* withLess(value: object): Generator<object> {
  for (const [key, inner] of Object.entries(value)) {
    const put = (other: unknown) =>
      Array.isArray(value) ? value.with(Number(key), other) : { ...value, [key]: other };
    if (Array.isArray(value) && value.length > 1) yield value.toSpliced(Number(key), 1);
    if (isSpec(inner)) for (const less of smallerThan(inner)) yield put(less);
    else if (typeof inner === 'object' && inner !== null) for (const less of withLess(inner)) yield put(less);
  }
}

/** What a job throws that neither has a result nor has failed. */
import type { Plannable } from '../task/signature.js';

/** The job waits for its children (again). */
export class WaitForChildren {
  /** @param seen Failed children that it knows of: more of them start it again. */
  constructor(readonly seen?: number) {}
}

/** The job goes back to its queue, uncharged, and is started again later. */
export class Snooze {
  /** @param delayMs Absent: in a moment, such as when more children are just being added below it. */
  constructor(readonly delayMs?: number) {}
}

/** A probe has done its work, and ends so that its join is started. */
export class ProbeEnd {
  constructor(readonly reason: string) {}
}

/** The job's chain has ended early: its handler does not run, and this is its result, as it is stored. */
export class ChainEnded {
  /** @param own What the job stands for has ended it, with this value: then the job is not skipped itself. */
  constructor(
    readonly result: unknown,
    readonly own?: { readonly value: unknown },
  ) {}
}

/** A handler asks to end its chain early. */
export class StopRequest {
  constructor(readonly value: unknown) {}
}

/** A step has ended its chain, which others of it follow, early. */
export class EndChain {
  constructor(
    readonly chain: string,
    readonly value: unknown,
  ) {}
}

/** A handler puts a composition in its job's place. */
export class ReplaceRequest {
  constructor(
    readonly signature: Plannable,
    readonly input: unknown,
  ) {}
}

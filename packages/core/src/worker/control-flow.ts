/** Control-flow exceptions: thrown when an attempt ends with neither a result nor a failure. The executor turns them into outcomes. */
import type { Plannable } from '../task/signature.js';

/** The job waits for its children (again). */
export class WaitForChildren {
  /** @param seen Number of failed children that the job knows: a further one starts it again. */
  constructor(readonly seen?: number) {}
}

/** The job returns to its queue without using up an attempt, and starts again later. */
export class Snooze {
  /** @param delayMs Absent: 200 ms, for example while more children are being added below the job. */
  constructor(readonly delayMs?: number) {}
}

/** A probe ends as a failure, so that its join starts. */
export class ProbeEnd {
  constructor(readonly reason: string) {}
}

/** The job's chain ended early: its handler does not run, and `result` is stored as its result. */
export class ChainEnded {
  /** @param own Present if the job's own replacement ended the chain with this value: then the job is not skipped. */
  constructor(
    readonly result: unknown,
    readonly own?: { readonly value: unknown },
  ) {}
}

/** Thrown by `ctx.stop`: the handler ends its chain early. */
export class StopRequest {
  constructor(readonly value: unknown) {}
}

/** A step ends its chain early, and further steps of the chain follow it. */
export class EndChain {
  constructor(
    readonly chain: string,
    readonly value: unknown,
  ) {}
}

/** Thrown by `ctx.replace`: the handler replaces its job by a workflow. */
export class ReplaceRequest {
  constructor(
    readonly signature: Plannable,
    readonly input: unknown,
  ) {}
}

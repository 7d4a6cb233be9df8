/** The order of the test files: those that take longest begin first, so that the end of a run is not one of them alone. */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files that take more than about ten seconds on an idle machine, the longest first. One that is gone is passed over. */
const LONGEST: readonly string[] = [
  'packages/dashboard/test/integration/browser.test.ts',
  'test/integration/walk.test.ts',
  'packages/cli/test/integration/packed.test.ts',
  'packages/core/test/integration/pglite.test.ts',
  'packages/dashboard/test/integration/quality.test.ts',
  'packages/core/test/fault/poison.test.ts',
  'packages/canvas/test/fault/kill-points.test.ts',
  'packages/core/test/integration/schedules.test.ts',
  'packages/core/test/integration/processes.test.ts',
  'packages/cli/test/integration/operating.test.ts',
  'packages/core/test/fault/frozen-store.test.ts',
  'packages/core/test/integration/isolated.test.ts',
  'packages/core/test/fault/closing.test.ts',
  'packages/core/test/fault/reconnect.test.ts',
  'packages/canvas/test/integration/retention.test.ts',
  'test/integration/bundles.test.ts',
  'test/integration/docs.test.ts',
  'test/integration/guides.test.ts',
  'test/integration/packages.test.ts',
  'test/integration/runners.test.ts',
  'packages/core/test/fault/clock.test.ts',
  'packages/core/test/integration/bad-input.test.ts',
  'packages/core/test/integration/mistakes.test.ts',
  'packages/cli/test/integration/unreadable-records.test.ts',
  'packages/cli/test/integration/worker.test.ts',
  'examples/word-report/test/demo.test.ts',
  'test/integration/examples.test.ts',
  'chaos/test/short-campaign.test.ts',
  'packages/canvas/test/integration/random-compositions.test.ts',
  'packages/canvas/test/integration/long-chains.test.ts',
  'packages/core/test/security/size-limits.test.ts',
  'packages/core/test/integration/limits.test.ts',
  'packages/testing/test/integration/memory-like-redis.test.ts',
];

export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const index = LONGEST.findIndex((file) => moduleId.endsWith(`/${file}`));
      return index === -1 ? LONGEST.length : index;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}

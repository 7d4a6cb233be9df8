/** The order of the test files: those that take longest begin first, so that the end of a run is not one of them alone. */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The files that take more than about ten seconds on an idle machine, the longest first. */
const LONGEST: readonly string[] = [];

export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const index = LONGEST.findIndex((file) => moduleId.endsWith(`/${file}`));
      return index === -1 ? LONGEST.length : index;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}

// A vitest reporter that writes the totals of a run as JSON into the file named by OVERLAYADM_TEST_TOTALS.
import { writeFileSync } from 'node:fs';

export default class TotalsReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const states = modules.flatMap((module) => [...module.children.allTests()].map((test) => test.result().state));
    const count = (state) => states.filter((found) => found === state).length;
    // A file that cannot be imported, a hook that throws and an error outside of tests fail the run without a failed test.
    const groups = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const broken = groups.reduce((sum, group) => sum + group.errors().length, 0) + unhandledErrors.length;
    const totals = { passed: count('passed'), failed: count('failed') + broken, skipped: count('skipped'), unfinished: count('pending') };
    if (process.env.OVERLAYADM_TEST_TOTALS) writeFileSync(process.env.OVERLAYADM_TEST_TOTALS, JSON.stringify(totals));
  }
}

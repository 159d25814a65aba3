// Before and after every run: removes what test processes that are dead have left behind, and says so.
import { sweep } from '../tools/sweep.mjs';

function clear(): void {
  const removed = sweep();
  if (removed.length > 0) console.log(`removed what dead test runs left: ${removed.join(', ')}`);
}

export function setup(): () => void {
  clear();
  return clear;
}

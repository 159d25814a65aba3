// The known word that somebody probably meant: for "did you mean ...?".

/**
 * The candidate with the fewest letters to insert, delete or replace in `word`; the first of equals. undefined when all are
 * further away than a third of the length of `word`.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let limit = Math.floor(word.length / 3);
  for (const candidate of candidates) {
    // Each letter more or less is a step; also keeps a long word from costing anything.
    if (Math.abs(candidate.length - word.length) > limit) continue;
    const steps = distance(word, candidate);
    if (steps > limit) continue;
    if (steps === 0) return candidate;
    best = candidate;
    limit = steps - 1;
  }
  return best;
}

/** Levenshtein's distance, row by row. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

export interface Repeat<Entry> {
  readonly entry: Entry;
  readonly first: Entry;
}

/** The entries whose key an earlier one has, each with the first one that has it. */
export function repeats<Entry>(entries: readonly Entry[], keyOf: (entry: Entry) => string): Repeat<Entry>[] {
  const firsts = new Map<string, Entry>();
  return entries.flatMap((entry) => {
    const key = keyOf(entry);
    const first = firsts.get(key);
    if (first !== undefined) return [{ entry, first }];
    firsts.set(key, entry);
    return [];
  });
}

/** Names under which fields refer to a collection: `artwork_id`, `artworkId`, `artwork_ids`, `artworkIds` for `artworks`. */

const IRREGULAR: Readonly<Record<string, string>> = {
  people: 'person',
  children: 'child',
  men: 'man',
  women: 'woman',
  indices: 'index',
  media: 'medium',
  data: 'datum',
};

export function referenceNames(collection: string): Set<string> {
  // GridFS and others group collections by a prefix with a dot: `fs.files` is referred to as `files_id`.
  const base = collection.slice(collection.lastIndexOf('.') + 1);
  const names = new Set<string>();
  for (const singular of [base, ...singulars(base)]) {
    const snake = singular.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase();
    const camel = snake.replace(/[_-]+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    for (const name of [`${snake}_id`, `${snake}_ids`, `${camel}Id`, `${camel}Ids`]) names.add(name);
  }
  return names;
}

/** Singular forms that the word may have; only its last part is inflected. */
function singulars(word: string): string[] {
  const [, head = '', last = ''] = /^(.*?)([A-Za-z][a-z]*)$/.exec(word) ?? [];
  const irregular = IRREGULAR[last.toLowerCase()];
  if (irregular !== undefined) return [head + (/^[A-Z]/.test(last) ? capital(irregular) : irregular)];
  if (/[^aeiou]ies$/.test(word)) return [`${word.slice(0, -3)}y`];
  if (/(?:s|x|z|ch|sh)es$/.test(word)) return [word.slice(0, -2), word.slice(0, -1)];
  return /[^s]s$/.test(word) ? [word.slice(0, -1)] : [];
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}

/** Files that come with the package as they are: schemas, the parts of the report's page. */
import { existsSync } from 'node:fs';

/** `path` from the package's folder; the same from the source, from the built library and from the bundled program. */
export function packageFile(path: string): URL {
  let folder = new URL('./', import.meta.url);
  while (!existsSync(new URL('package.json', folder)) && folder.pathname !== '/')
    folder = new URL('../', folder);
  return new URL(path, folder);
}

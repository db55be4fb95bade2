import * as assert from 'uvu/assert';
import { referenceNames } from '../../../src/follow-ups/suggestions/passing-collections.ts';
import { test } from '../../harness.ts';

for (const [collection, ...names] of [
  ['artworks', 'artwork_id', 'artworkId', 'artwork_ids', 'artworkIds'],
  ['sale_artworks', 'sale_artwork_id', 'saleArtworkId', 'sale_artwork_ids', 'saleArtworkIds'],
  ['saleArtworks', 'sale_artwork_id', 'saleArtworkId'],
  ['categories', 'category_id', 'categoryId'],
  ['addresses', 'address_id'],
  ['houses', 'house_id'],
  ['boxes', 'box_id'],
  ['people', 'person_id', 'personIds'],
  ['sale_people', 'sale_person_id'],
  ['address', 'address_id'],
  ['user', 'user_id', 'userId'],
  ['fs.files', 'files_id', 'file_id'],
  ['Partners', 'partner_id', 'partnerId'],
] as const) {
  test(`fields that refer to ${collection} are called ${names.join(', ')}`, () => {
    const found = referenceNames(collection);
    for (const name of names) assert.ok(found.has(name), `${name} is not in ${[...found]}`);
  });
}

test('other names are left alone', () => {
  const found = referenceNames('artworks');
  for (const name of ['_id', 'id', 'artwork', 'work_id', 'artworks']) assert.not(found.has(name), name);
});

test.run();

import { serialize } from 'bson';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { artMarket, fillArtMarket, LOST_PARTNER } from './art-market.ts';
import { openLab } from './lab.ts';

test('the same seed gives the same bytes', () => {
  const bytes = (seed: number): Buffer =>
    Buffer.concat(
      Object.values(artMarket({ seed, artworks: 50 })).flatMap((all) => all.map((one) => serialize(one))),
    );
  assert.ok(bytes(7).equals(bytes(7)));
  assert.not.ok(bytes(7).equals(bytes(8)));
});

test('the lost partner has artworks, lots and offers that go with it', () => {
  const market = artMarket();
  const lost = new Set(
    market.artworks
      .filter((work) => LOST_PARTNER.equals(work['partner_id']))
      .map((work) => String(work['_id'])),
  );
  assert.ok(lost.size > 20 && lost.size < market.artworks.length / 4, `${lost.size} artworks`);
  for (const children of [market.sale_artworks, market.offers])
    assert.ok(children.some((child) => lost.has(String(child['artwork_id']))));
});

test('a database is filled with it in moments', async () => {
  const lab = await openLab();
  const database = lab.database('gravity');
  await fillArtMarket(database, artMarket());
  assert.is(await database.collection('artworks').countDocuments(), 2000);
  await lab.close();
});

test.run();

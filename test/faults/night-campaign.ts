/** Bad nights of a shop, one after the other, in which every step that writes is killed with -9 at a random moment and run again. */
import { Night } from '../scenarios/night.ts';

export async function nightsOfKills(
  least: number,
  { seed, say }: { readonly seed: number; readonly say: (text: string) => void },
): Promise<void> {
  const night = await Night.begin({ customers: 2_000, deleted: 200 });
  try {
    await night.undisturbed();
    say('an undisturbed night of 30,000 documents: taken back, every byte as before');
    let killed = 0;
    // A step may be over before its moment comes.
    for (let nights = 1; killed < least && nights <= least; nights++) {
      const kills = await night.disturbed(seed + nights);
      killed += kills.length;
      const places = kills.map(({ step, afterMs }) => `${step} after ${afterMs} ms`);
      say(`night ${nights}: ${kills.length} kills, ${killed} in all (${places.join(', ')})`);
    }
    if (killed < least) throw new Error(`only ${killed} of ${least} kills came in time`);
  } finally {
    await night.end();
  }
}

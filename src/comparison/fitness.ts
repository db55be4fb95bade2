/** Whether a collection of the target can be restored into at all. */
import { RestorePlanError } from '../errors.ts';
import type { CollectionBlueprint } from '../target/collection-metadata.ts';
import { isCapped } from '../target/describe-collection.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';

/** Throws TARGET for what documents cannot be inserted into safely and repeatably. */
export function requireFit(reader: TargetReader, collection: TargetCollection): void {
  const where = `${reader.name}: ${reader.database}.${collection.name}`;
  if (collection.type === 'view') {
    throw unfit(`${where} is a view`, 'Restore into the collection that the view reads from, with `into`.');
  }
  if (collection.type === 'timeseries') {
    throw unfit(
      `${where} is a time series`,
      'A time series takes the same _id twice, so a repeated restore would double documents. Restore into another collection, with `into`.',
    );
  }
  if (collection.capped) {
    throw unfit(
      `${where} is capped`,
      'A capped collection drops its oldest documents when new ones come in. Restore into another collection, with `into`.',
    );
  }
}

/** Throws TARGET for a collection that the target lacks and that apply does not create. */
export function requireCreatable(reader: TargetReader, into: string, { options }: CollectionBlueprint): void {
  if (!isCapped(options)) return;
  throw unfit(
    `${reader.name}: ${into} is missing, and was capped in the backup`,
    'A capped collection drops documents by itself. Create the collection by hand, as it shall be, then run again.',
  );
}

function unfit(message: string, hint: string): RestorePlanError {
  return new RestorePlanError('TARGET', message, { hint });
}

/** Whether a collection of the target can be restored into at all. */
import { innerDocument } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import { CommandFailure } from '../target/command-failure.ts';
import { isCapped } from '../target/describe-collection.ts';
import type { CollectionBlueprint, TargetCollection, TargetReader } from '../target/target.ts';
import { cannotAnswer, documentsStage } from './ask-server.ts';
import { wrapped } from './query-documents.ts';
import { type RefusedIndex, refusedIndexes } from './refused-indexes.ts';

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
  if (isEncrypted(collection.options)) throw encrypted(`${where} is encrypted`);
  if (collection.capped) {
    throw unfit(
      `${where} is capped`,
      'A capped collection drops its oldest documents when new ones come in. Restore into another collection, with `into`.',
    );
  }
}

/**
 * Throws TARGET for a collection that the target lacks and that apply does not create: what the server would refuse of its options
 * or indexes is known before anything is written.
 */
export async function requireCreatable(
  reader: TargetReader,
  into: string,
  blueprint: CollectionBlueprint,
): Promise<void> {
  const { options, indexes } = blueprint;
  const where = `${reader.name}: ${reader.database}.${into} is missing`;
  if (isCapped(options)) {
    throw unfit(
      `${where}, and was capped in the backup`,
      'A capped collection drops documents by itself. Create the collection by hand, as it shall be, then run again.',
    );
  }
  if (isEncrypted(options)) throw encrypted(`${where}, and is encrypted in the backup`);
  const fault = await optionsFault(reader, options);
  if (fault !== undefined) {
    throw unfit(
      `${where}, and the server does not take the backup's ${fault.option}: ${fault.reason}`,
      'Create the collection by hand, as it shall be, then run again: a collection that is there is used as it is.',
    );
  }
  const refused = await refusedIndexes(reader, indexes);
  if (refused.length > 0) throw uncreatableIndexes(where, refused);
}

/** `where` names target and collection. */
export function uncreatableIndexes(where: string, refused: readonly RefusedIndex[]): RestorePlanError {
  const what = refused.length === 1 ? 'an index' : `${refused.length} indexes`;
  const each = refused.map(({ text, reason }) => `${text}: ${reason}`).join('; ');
  const names = refused.map(({ name }) => JSON.stringify(name)).join(', ');
  return unfit(
    `${where}, and the server does not take ${what} of the backup: ${each}`,
    `Leave out what you can do without: \`indexes: { skip: [${names}] }\` at the collection in the plan. Or create the collection by hand: one that is there is used as it is.`,
  );
}

interface OptionsFault {
  readonly option: string;
  readonly reason: string;
}

/** Asks the server to read the collation and the validator, over no document at all. */
async function optionsFault(reader: TargetReader, options: Buffer): Promise<OptionsFault | undefined> {
  const collation = innerDocument(options, 'collation');
  const validator = innerDocument(options, 'validator');
  const nothing = documentsStage([]);
  const collating = collation === undefined ? {} : { collation };
  if (collation !== undefined) {
    const inCollation = await faultOf(() => reader.aggregate(1, [nothing], collating));
    if (inCollation !== undefined) return { option: 'collation', reason: inCollation };
  }
  if (validator === undefined) return undefined;
  const pipeline = [nothing, wrapped('$match', validator)];
  const inValidator = await faultOf(() => reader.aggregate(1, pipeline, collating));
  return inValidator === undefined ? undefined : { option: 'validator', reason: inValidator };
}

async function faultOf(ask: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await ask();
    return undefined;
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.transient) throw error;
    return cannotAnswer(error) ? undefined : error.serverWords;
  }
}

/** By Queryable Encryption; what a client encrypts by itself is bytes like any other. */
function isEncrypted(options: Buffer): boolean {
  return innerDocument(options, 'encryptedFields') !== undefined;
}

function encrypted(message: string): RestorePlanError {
  return unfit(
    `${message} (Queryable Encryption)`,
    'The server takes its documents only from a client that has the keys and encrypts them anew, together with the state collections enxcol_.… beside it. Restore the backup whole with mongorestore into an empty database, then copy the documents with such a client.',
  );
}

function unfit(message: string, hint: string): RestorePlanError {
  return new RestorePlanError('TARGET', message, { hint });
}

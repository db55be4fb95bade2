/** Every document of a database as bytes, to prove afterwards what a restore changed and what it did not. */
import { createHash } from 'node:crypto';
import { BSON, type Db } from 'mongodb';

/** `collection/_id` → sha256 of the document's bytes as the server holds them. */
export type Snapshot = ReadonlyMap<string, string>;

/** Reads at majority. The tool's own records (`restore_plan.*`) are not data. */
export async function takeSnapshot(database: Db): Promise<Snapshot> {
  const snapshot = new Map<string, string>();
  for (const { name } of await database.listCollections({}, { nameOnly: true }).toArray()) {
    if (name.startsWith('restore_plan.')) continue;
    const cursor = database
      .collection(name)
      .find<Buffer>({}, { raw: true, readConcern: { level: 'majority' } });
    for await (const bytes of cursor) {
      const { _id } = BSON.deserialize(bytes, { promoteValues: false });
      snapshot.set(
        `${name}/${BSON.EJSON.stringify(_id, { relaxed: false })}`,
        createHash('sha256').update(bytes).digest('hex'),
      );
    }
  }
  return snapshot;
}

export interface SnapshotDifference {
  readonly missing: readonly string[];
  readonly added: readonly string[];
  readonly changed: readonly string[];
}

export function compareSnapshots(before: Snapshot, after: Snapshot): SnapshotDifference {
  const keys = [...before.keys()];
  return {
    missing: keys.filter((key) => !after.has(key)),
    added: [...after.keys()].filter((key) => !before.has(key)),
    changed: keys.filter((key) => after.has(key) && after.get(key) !== before.get(key)),
  };
}

import { OplogFault } from './faults.ts';

/** A collection that an oplog is read for. */
export interface WantedCollection {
  /** As the backup names it. */
  readonly collection: string;
  /** `database.collection` on the server that the backup was taken of. */
  readonly namespace: string;
  /** Of the collection in the backup, 32 hex digits. */
  readonly uuid: string;
}

const UUID_BYTES = 16;
/** As many bytes as a number holds exactly; the rest is compared. */
const HEAD_BYTES = 6;

interface KnownUuid {
  readonly bytes: Buffer;
  readonly index: number;
}

/**
 * Tells by its UUID which collection an entry belongs to, and follows the names: a collection keeps its UUID when it is renamed, and one that is
 * dropped and made again gets another one.
 */
export class WantedCollections {
  readonly #known = new Map<number, KnownUuid[]>();
  /** The name that each collection has now. */
  readonly #names: string[];
  /** Collections that have the name of a wanted one and another UUID; by that name. */
  readonly #strangers = new Map<string, string>();
  readonly #collections: readonly WantedCollection[];

  constructor(collections: readonly WantedCollection[]) {
    this.#collections = collections;
    this.#names = collections.map(({ namespace }) => namespace);
    for (const [index, { uuid }] of collections.entries()) this.#learn(Buffer.from(uuid, 'hex'), index);
  }

  /** Position of the wanted collection whose UUID starts at `at`; -1: another one, which `nameOf` gives the name of. */
  find(bytes: Buffer, at: number, nameOf: { readonly ns: string }): number {
    const known = this.#known.get(bytes.readUIntLE(at, HEAD_BYTES));
    if (known !== undefined)
      for (const each of known)
        if (bytes.compare(each.bytes, 0, UUID_BYTES, at, at + UUID_BYTES) === 0) return each.index;
    const uuid = Buffer.from(bytes.subarray(at, at + UUID_BYTES));
    this.#learn(uuid, -1);
    if (this.#names.includes(nameOf.ns)) this.#strangers.set(nameOf.ns, uuid.toString('hex'));
    return -1;
  }

  /** Position of the wanted collection that has this name now; -1: none. */
  named(namespace: string): number {
    return this.#names.indexOf(namespace);
  }

  /** The name that the wanted collection has now. */
  nameOf(index: number): string {
    return this.#names[index] as string;
  }

  /** A wanted collection has this name from now on; whatever had it before is another matter. */
  takesName(index: number, namespace: string): void {
    this.#names[index] = namespace;
    this.#strangers.delete(namespace);
  }

  /** The names that wanted collections of this database have now. */
  inDatabase(database: string): readonly number[] {
    return [...this.#names.keys()].filter((index) => this.nameOf(index).startsWith(`${database}.`));
  }

  /** Throws where entries of a wanted name belong to another collection, and nothing in the oplog explains it. */
  refuseStrangers(): void {
    for (const [namespace, uuid] of this.#strangers) {
      const wanted = this.#collections[this.named(namespace)];
      throw new OplogFault(
        `its entries for ${namespace} belong to a collection with the UUID ${uuid}, and that of the backup is ${wanted?.uuid}`,
        'Either this is the oplog of another replica set, or the collection was made anew between the backup and what the oplog still holds. Name the oplog of the replica set that the backup was taken of.',
      );
    }
  }

  #learn(bytes: Buffer, index: number): void {
    const head = bytes.readUIntLE(0, HEAD_BYTES);
    this.#known.set(head, [...(this.#known.get(head) ?? []), { bytes, index }]);
  }
}

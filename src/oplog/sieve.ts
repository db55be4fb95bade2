/** Which entries a saved oplog needs, told one by one while an oplog goes by. */
import { elements, findElement, keyOf } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { OP, OplogEntry } from './entry.ts';
import { APPLIED_SEPARATELY } from './operations.ts';
import { requireSaved, type SavedScope, scopeOf } from './saved-scope.ts';
import { commandOf, meaningOf, type WantedCollection } from './wanted.ts';

/** Tells the entries that matter for a scope, one after the other. */
export class Sieve {
  readonly #scope: SavedScope;
  readonly #names: ReadonlySet<string> | undefined;
  /** Of collections that had or got one of the names. */
  readonly renamed: Set<string>;
  readonly #entry = new OplogEntry();
  readonly #inner = new OplogEntry();

  constructor(scope: SavedScope, renamed: ReadonlySet<string> = new Set()) {
    this.#scope = scope;
    this.renamed = new Set(renamed);
    this.#names = scope.collections && new Set(scope.collections.map((name) => `${scope.database}.${name}`));
  }

  /** What a server is to be asked for: the names, and the UUIDs of what was renamed. */
  get collections(): WantedCollection[] {
    return [
      ...[...(this.#names ?? [])].map((namespace) => ({ collection: '', namespace, uuid: '' })),
      ...[...this.renamed].map((uuid) => ({ collection: '', namespace: '', uuid })),
    ];
  }

  noteRename(bytes: Buffer, start: number): void {
    const entry = this.#entry.read(bytes, start);
    if (entry.op !== OP.COMMAND || entry.ui < 0 || this.#names === undefined) return;
    if (commandOf(entry) !== 'renameCollection') return;
    for (const element of elements(bytes, entry.o)) {
      const isName = element.type === BSON.STRING && ['renameCollection', 'to'].includes(keyOf(element));
      if (isName && this.#names.has(bytes.toString('utf8', element.start + 4, element.end - 1)))
        this.renamed.add(entry.uuid);
    }
  }

  /** Throws OplogFault where it says that entries of the scope were left out before. */
  read(bytes: Buffer, start: number): OplogEntry {
    const entry = this.#entry.read(bytes, start);
    const saved = scopeOf(entry);
    if (saved === undefined) return entry;
    if (this.#names === undefined && saved.collections !== undefined) requireSaved(saved, '');
    for (const name of this.#names ?? [`${this.#scope.database}.`]) requireSaved(saved, name);
    return entry;
  }

  /** Whether the entry read last matters. In doubt it does: transactions that come in parts, and what is not known here. */
  keeps(): boolean {
    const entry = this.#entry;
    switch (entry.op) {
      case OP.INSERT:
      case OP.UPDATE:
      case OP.DELETE:
        return this.#isOurs(entry);
      case OP.COMMAND:
        return this.#keepsCommand(entry);
      default:
        return entry.op !== OP.NOOP;
    }
  }

  #keepsCommand(entry: OplogEntry): boolean {
    const name = commandOf(entry);
    if (meaningOf(name) !== 'operations')
      return entry.ns.startsWith(`${this.#scope.database}.`) || entry.ns.startsWith('admin.');
    if (name !== 'applyOps') return true;
    const standsAlone = !entry.hasSession || entry.multiOpType === APPLIED_SEPARATELY;
    if (!standsAlone && (entry.hasPrevious || isPart(entry))) return true;
    const list = findElement(entry.bytes, entry.o, APPLY_OPS);
    if (list?.type !== BSON.ARRAY) return true;
    for (const { type, start } of elements(entry.bytes, list.start)) {
      if (type !== BSON.OBJECT) return true;
      const inner = this.#inner.read(entry.bytes, start);
      if (inner.op === OP.COMMAND || this.#isOurs(inner)) return true;
    }
    return false;
  }

  #isOurs(entry: OplogEntry): boolean {
    const { ns } = entry;
    if (this.#names === undefined) return ns.startsWith(`${this.#scope.database}.`);
    return this.#names.has(ns) || (entry.ui >= 0 && this.renamed.has(entry.uuid));
  }
}

const APPLY_OPS = Buffer.from('applyOps');
const PARTS = [Buffer.from('partialTxn'), Buffer.from('prepare')];

/** Whether a transaction goes on behind it. */
function isPart({ bytes, o }: OplogEntry): boolean {
  return PARTS.some((key) => findElement(bytes, o, key) !== undefined);
}

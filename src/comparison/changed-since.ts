/**
 * Documents that are given back as they were before a change, and that the target no longer holds as that change left them: somebody
 * has set them right since, or the target never saw the change. Writing over them loses that, so a dry-run says it before, and an apply after.
 *
 * With `merge` the restored fields alone count, with `replace` the whole document. It decides nothing.
 */
import { documentValue } from '../bson/diff-documents.ts';
import { sameDocument } from '../bson/documents.ts';
import { overwrites } from '../plan/plan.ts';
import type { PastReader } from '../selection/document-past.ts';
import type { SelectedCollection } from '../selection/selection.ts';
import { truncated } from '../text/escape.ts';
import { showCount, showCounted } from '../text/quantities.ts';
import { MaskedText } from './describe-document.ts';
import type { Met } from './meet.ts';

/** Documents that a warning names, and characters that one may take. */
const MOST_NAMED = 10;
const ID_TEXT = 60;
/** Fields that it names. */
const MOST_FIELDS = 3;

/** As the reason of such a document. */
export const CHANGED_SINCE = 'not as the change left it: it was changed once more, or never by it';

/** Of one collection of a selection. */
export class ChangedSince {
  readonly #selected: SelectedCollection;
  readonly #pasts: PastReader | undefined;
  readonly #ids: MaskedText;
  readonly #named: string[] = [];
  #count = 0;

  /** `pasts`: what the oplog knows of the documents; undefined where none was used. `mask`: the plan's. */
  constructor(selected: SelectedCollection, pasts: PastReader | undefined, mask: readonly string[]) {
    this.#selected = selected;
    this.#pasts = overwrites(selected) ? pasts : undefined;
    this.#ids = new MaskedText(mask, ID_TEXT);
  }

  /** Whether the document at `position`, which is to be written over, is such a one; then it is counted. */
  note({ documents, there, fields }: Met, position: number): boolean {
    const now = there.other(position);
    const after = now && this.#pasts?.afterOf(this.#selected.collection, documents.first + position);
    if (now === undefined || after === undefined) return false;
    const isAsLeft =
      fields === undefined
        ? sameDocument(documentValue(after), documentValue(now))
        : fields.areSame(after, now);
    if (isAsLeft) return false;
    if (this.#count++ < MOST_NAMED)
      this.#named.push(truncated(this.#ids.showId(documents.id(position)), ID_TEXT));
    return true;
  }

  /**
   * Before they are written over, without the name of the collection; undefined where there is none. It names none of them, for it stands in reports
   * that tell no `_id`s: each says so of itself.
   */
  get warning(): string | undefined {
    if (this.#count === 0) return undefined;
    const it = this.#count === 1 ? 'it' : 'them';
    return `${this.#what('is', 'are')} not what the change left: somebody changed ${it} since, or this server never saw the change; whenMatched: ${this.#selected.whenMatched} writes over ${it}. A full listing says which; those that shall stay as they are can be named in \`exceptions\` of the plan, by \`ids\``;
  }

  /** The same after the deed, with the first of them. */
  get writtenOver(): string | undefined {
    if (this.#count === 0) return undefined;
    const more = this.#count - this.#named.length;
    const named = `${this.#named.join(', ')}${more === 0 ? '' : ` and ${showCount(more)} more`}`;
    return `${this.#what('was', 'were')} not what the change left, and somebody may have put that right: what was there was written over, and a revert puts it back: ${named}`;
  }

  /** `2 documents are, in price.amount and 3 more fields,` */
  #what(one: string, many: string): string {
    const documents = `${showCounted(this.#count, 'document')} ${this.#count === 1 ? one : many}`;
    const { fields = [] } = this.#selected.merge ?? {};
    if (fields.length === 0) return documents;
    const more = fields.length - MOST_FIELDS;
    const others = more > 0 ? ` and ${showCounted(more, 'more field')}` : '';
    const told = fields.slice(0, MOST_FIELDS).map((field) => truncated(field, ID_TEXT));
    return `${documents}, in ${told.join(', ')}${others},`;
  }
}

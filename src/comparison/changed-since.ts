/**
 * Documents that are given back as they were before a change, and that the target no longer holds as that change left them: somebody
 * has set them right since, or the target never saw the change. Writing over them loses that, so a dry-run says it.
 *
 * With `merge` the restored fields alone count, with `replace` the whole document. It decides nothing.
 */
import { documentValue } from '../bson/diff-documents.ts';
import { sameDocument } from '../bson/documents.ts';
import { overwrites } from '../plan/plan.ts';
import type { SelectedCollection } from '../selection/selection.ts';
import { truncated } from '../text/escape.ts';
import { showCount, showCounted } from '../text/quantities.ts';
import type { DocumentClass } from './comparison.ts';
import { exceptedClassOf } from './left-out.ts';
import type { Met } from './meet.ts';

/** Documents that a warning names, and characters that one may take. */
const MOST_NAMED = 10;
const ID_TEXT = 60;

/** As the reason of such a document. */
export const CHANGED_SINCE = 'not as the change left it: it was changed once more, or never by it';

/** Of one collection of a selection. */
export class ChangedSince {
  readonly #selected: SelectedCollection;
  readonly #ids: string[] = [];
  #count = 0;

  constructor(selected: SelectedCollection) {
    this.#selected = selected;
  }

  /** Whether a document of this class would be written over. Only then does it cost something to look. */
  concerns(documentClass: DocumentClass): boolean {
    return overwrites(this.#selected) && exceptedClassOf(documentClass) === 'different';
  }

  /** `after`: the document at `position` as the change left it. */
  isChanged({ there, fields }: Met, position: number, after: Buffer): boolean {
    const now = there.other(position);
    if (now === undefined) return false;
    return fields === undefined
      ? !sameDocument(documentValue(after), documentValue(now))
      : !fields.areSame(after, now);
  }

  count(id: () => string): void {
    if (this.#count++ < MOST_NAMED) this.#ids.push(truncated(id(), ID_TEXT));
  }

  /** Without the name of the collection; undefined where there is none. */
  get warning(): string | undefined {
    if (this.#count === 0) return undefined;
    const { merge, whenMatched } = this.#selected;
    const which = showCounted(this.#count, 'document');
    const many = this.#count > 1;
    const what = merge === undefined ? which : `${merge.fields.join(', ')} of ${which}`;
    const isNot = merge === undefined && many ? 'are not' : 'is not';
    const it = merge === undefined && many ? 'them' : 'it';
    const more = this.#count - this.#ids.length;
    const named = `${this.#ids.join(', ')}${more === 0 ? '' : ` and ${showCount(more)} more`}`;
    return `${what} ${isNot} what the change left: somebody changed ${it} since, or this server never saw the change; whenMatched: ${whenMatched} writes over ${it}. Those that shall stay as they are can be named in \`exceptions\` of the plan, by \`ids\`: ${named}`;
  }
}

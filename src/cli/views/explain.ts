/** What a plan will do, in sentences: for a reviewer who has never seen one. */

import { EMPTY_DOCUMENT } from '../../bson/document-builder.ts';
import { showDocument } from '../../bson/show.ts';
import type { TargetName } from '../../events.ts';
import { kindOf } from '../../plan/follow-ups/kinds.ts';
import {
  type CollectionPlan,
  type DependentPlan,
  type ExceptedClass,
  type FollowUpPlan,
  type Plan,
  type RestoredCollection,
  restoredCollections,
  type Source,
} from '../../plan/plan.ts';
import { explainOplog } from '../../plan/sources/oplog.ts';
import { isStored, sourceKindOf, storeLocation } from '../../plan/sources/sources.ts';
import { storeOf } from '../../plan/sources/stores.ts';
import { type Window, windowsOf } from '../../plan/windows.ts';
import { shellWord, truncated } from '../../text/escape.ts';
import { wrapped } from '../../text/terminal.ts';

/** Queries longer than this are cut: the plan itself shows them whole. */
const MAX_QUERY = 300;

/** Paragraphs and lists, wrapped to the terminal's width, newline at the end. */
export function explainPlan(plan: Plan, terminalColumns: number): string {
  const columns = Math.max(40, Math.min(terminalColumns, 100));
  const paragraph = (text: string, indent = 0, mark = ''): string =>
    `${wrapped(text.replaceAll(/\s+/g, ' ').trim(), { columns, indent, mark }).join('\n')}\n`;
  const heading = (text: string): string => `\n${text}\n`;
  return [
    paragraph(`${plan.name}: ${plan.reason ?? 'no reason is given.'}`),
    heading('Where the documents come from'),
    ...sourceSentences(plan).map((text) => paragraph(text, 2)),
    heading('What is restored'),
    ...plan.collections.flatMap((root) => collectionBlocks(root, plan.source, paragraph)),
    ...promises(plan).map((text) => paragraph(text, 2)),
    heading('Where they go'),
    ...targetSentences(plan).map((text) => paragraph(text, 2, '- ')),
    heading('What comes afterwards'),
    ...followUpSentences(plan.followUps).map((text) => paragraph(text, 2, '- ')),
    ...unsetSentences(plan).flatMap((text) => ['\n', paragraph(text)]),
  ].join('');
}

type Paragraph = (text: string, indent?: number, mark?: string) => string;

function sourceSentences(plan: Plan): string[] {
  const { source } = plan;
  const { location, at } = source;
  const isWhole = source.integrity === 'whole';
  const integrity = isWhole
    ? 'It is used only if it is undamaged to its end.'
    : 'Reading stops after the last member that is needed; damage behind it is not noticed.';
  const content =
    sourceKindOf(location).explain?.(source.database, at, location) ??
    `From it, the database ${source.database} is read. ${integrity}`;
  if (!isStored(location)) return [content];
  const stored = storeLocation(location);
  const place = storeOf(stored).describe(stored);
  const sentences = [`${choiceSentence(place, stored.timezone, source)} ${content}`];
  if (at !== undefined && source.maxAgeMs !== undefined && place.includes('{time:')) {
    sentences.push(
      `A backup that was begun more than ${duration(source.maxAgeMs)} before that moment is refused.`,
    );
  }
  if (source.oplog !== undefined) sentences.push(explainOplog(source.oplog, momentText(plan)));
  return sentences;
}

/** To which moment documents are rolled forward. */
function momentText({ source, collections }: Plan): string {
  const moments = [
    ...(collections.every((entry) => windowsOf(entry).length > 0) ? [] : [source.at?.text ?? 'source.at']),
    ...(collections.every((entry) => windowsOf(entry).length === 0)
      ? []
      : ['just before what happened to each']),
  ];
  return moments.join(', or ');
}

function choiceSentence(place: string, zone: string | undefined, { at }: Source): string {
  if (!place.includes('{time:') || at === undefined) return `The backup at ${place}.`;
  const utc = new Date(at.epochMs).toISOString().replace('T', ' ').slice(0, 16);
  return `Of the backups at ${place}, the newest that was begun at or before ${at.text} (${utc} UTC) and holds every collection below. The times in the names are read as ${zone} time.`;
}

function collectionBlocks(root: CollectionPlan, { oplog }: Source, paragraph: Paragraph): string[] {
  const isAll = root.query.length === EMPTY_DOCUMENT.length;
  const of = root.ids === undefined ? '' : ` with the ${root.ids.count} _ids of ${root.ids.file}`;
  const match = isAll ? '' : ` that match ${query(root.query)}`;
  const windows = windowsOf(root).map((window) => `${window.kind} ${spanText(window)}`);
  const happened = windows.length === 0 ? '' : ` that were ${windows.join(', or ')}`;
  const what =
    isAll && of === '' && happened === ''
      ? 'every document'
      : `the documents${of}${happened}${(of !== '' || happened !== '') && match !== '' ? ' and' : ''}${match}`;
  const more = [
    ...windowsOf(root).map((window) => windowSentence(window, oplog)),
    ...(root.proposesDependents ? [PROPOSES] : []),
  ];
  return entryBlocks(root, { text: `${root.collection}: ${what}`, more, depth: 0, paragraph });
}

const PROPOSES =
  'plan dry-run proposes what other collections lost in the same run as their dependents; plan apply refuses until the plan says which of them come back.';

const spanText = ({ from, until }: Window): string => `from ${from.text} until ${until.text}`;

function windowSentence(window: Window, oplog: Source['oplog']): string {
  if (window.kind === 'deleted') {
    const more =
      oplog === undefined
        ? ''
        : ', also one that was made after the backup, and all of a collection that was dropped or replaced then';
    return `Each comes back as it was just before it was deleted${more}. Expiry by a TTL index and what the server moved are left out.`;
  }
  const fields = window.fields.length === 0 ? '' : ` of ${window.fields.join(', ')}`;
  return `Each comes back as it was just before its first change${fields} in that time.`;
}

interface Entry {
  readonly text: string;
  /** Sentences that follow it. */
  readonly more?: readonly string[];
  /** Which documents its dependents are looked for among, where not among all. */
  readonly among?: string;
  readonly depth: number;
  readonly paragraph: Paragraph;
}

function entryBlocks(
  entry: RestoredCollection,
  { text, more = [], among = '', depth, paragraph }: Entry,
): string[] {
  const indent = 2 + depth * 4;
  const isDeleted = among !== '' || ('deleted' in entry && entry.deleted !== undefined);
  const below = isDeleted ? ' that were deleted in the same time' : '';
  return [
    paragraph([`${text}.`, ...more, ...treatment(entry)].join(' '), indent, '- '),
    ...entry.dependents.flatMap((dependent) =>
      entryBlocks(dependent, {
        text: dependentText(dependent, entry, below),
        ...{ among: below, depth: depth + 1, paragraph },
      }),
    ),
  ];
}

/** `among`: which documents it is looked for among, where not among all. */
function dependentText(dependent: DependentPlan, parent: RestoredCollection, among: string): string {
  const isTree = dependent.collection === parent.collection;
  const key = `${dependent.foreignKey} is the ${dependent.localKey} of`;
  const relation = isTree
    ? `${dependent.collection} below them: those${among} whose ${key} one already selected, to the end of the tree`
    : `${dependent.collection}: those${among} whose ${key} one of these ${parent.collection}`;
  const orphans = dependent.orphans === 'insert' ? ', also where none of these can be written' : '';
  const match = dependent.query === undefined ? '' : `, and that match ${query(dependent.query)}`;
  return `${relation}${match}${orphans}`;
}

/** What happens to a document that is in the target already, and what the dry-run looks at. */
function treatment(entry: RestoredCollection): string[] {
  const sentences: string[] = [];
  if (entry.into !== entry.collection) sentences.push(`They go into ${entry.into}.`);
  if (entry.whenMatched === 'replace') {
    sentences.push(
      'A document that the target holds with other content is replaced; plan revert can put it back.',
    );
  } else if (entry.merge !== undefined) {
    const { fields, whenNotMatched } = entry.merge;
    sentences.push(
      `Of a document that the target holds, ${fields.join(', ')} ${fields.length === 1 ? 'is' : 'are'} set to the backup's value; its other fields stay as they are, and plan revert puts ${fields.length === 1 ? 'it' : 'them'} back.`,
      whenNotMatched === 'insert'
        ? 'One that the target lacks is inserted whole.'
        : 'One that the target lacks is left out.',
    );
  } else if (entry.whenMatched === 'fail') {
    sentences.push('If the target holds one of them with other content, nothing is written.');
  }
  if (entry.updatedAt !== undefined)
    sentences.push(`One whose ${entry.updatedAt} is newer in the target is reported as stale.`);
  if (entry.softDelete !== undefined)
    sentences.push(`One that matches ${query(entry.softDelete)} in the target is reported as soft-deleted.`);
  for (const { ids, class: ofClass, reason, on } of entry.exceptions) {
    const which = ids === undefined ? `those that are ${CLASS_TEXT[ofClass]}` : `${ids.count} named by _id`;
    const where = on === undefined ? '' : ` in ${on}`;
    sentences.push(`Left out${where}, with what depends on them alone: ${which} (${reason}).`);
  }
  for (const { field, collection } of entry.references) {
    sentences.push(
      `Their ${field} must lead to a document of ${collection}; the dry-run names those that do not.`,
    );
  }
  return sentences;
}

const CLASS_TEXT: Readonly<Record<ExceptedClass, string>> = {
  conflict: 'in conflict',
  refused: 'refused',
  different: 'there with other content',
};

/** What holds for every collection. */
function promises(plan: Plan): string[] {
  const all = restoredCollections(plan);
  const keeping = all.filter(({ whenMatched }) => whenMatched === 'keepExisting').length;
  const kept = 'a document that a target holds with other content is kept there';
  const isSomeKept = keeping > 0 && keeping < all.length;
  return [
    ...(keeping > 0 ? [isSomeKept ? `Where nothing else is said, ${kept}.` : `A${kept.slice(1)}.`] : []),
    'Documents are restored byte for byte. Nothing in a target is deleted, and no index or option of a collection that is there is changed.',
  ];
}

const TOLD_APART = {
  'server-user': 'People are told apart as the server authenticates them.',
  'os-user': 'People are told apart as their operating systems name them, which proves nothing.',
} as const;

const ACCEPT_KEPT =
  'a staging run in which every document was kept: nothing was verified there, and production opens all the same';

function targetSentences({ targets }: Plan): string[] {
  const staging = `Staging, database ${targets.staging.database}. Every document is read back and compared.`;
  if (targets.production === undefined) return [staging, 'This plan has no production target.'];
  const { database, gate } = targets.production;
  const conditions = ['the same documents were applied to staging and verified there'];
  if (gate.soakMs > 0) conditions.push(`${duration(gate.soakMs)} have passed since`);
  if (gate.approvals > 0) {
    const people = gate.approvals === 1 ? 'one person' : `${gate.approvals} people`;
    conditions.push(`${people} other than the one who applied to staging approved`);
  }
  const last = conditions.pop() as string;
  const all = conditions.length === 0 ? last : `${conditions.join(', ')} and ${last}`;
  return [
    staging,
    `Production, database ${database}. It opens only when ${all}. Nothing can switch this off.`,
    'Staging must hold every one of these documents byte for byte then, except those that somebody accepted by name.',
    ...(gate.approvals > 0 ? [TOLD_APART[gate.approvalsBy ?? 'server-user']] : []),
    ...(gate.acceptKept === true ? [`The plan accepts (gate.acceptKept) ${ACCEPT_KEPT}.`] : []),
  ];
}

function followUpSentences(followUps: readonly FollowUpPlan[]): string[] {
  if (followUps.length === 0) return ['Nothing that the plan knows of.'];
  return followUps.map((followUp) => {
    const { action } = followUp;
    const where = followUp.on === 'both' ? 'each target' : (followUp.on satisfies TargetName);
    const when = followUp.when === 'inserted' ? ', if something was written,' : '';
    const after =
      followUp.needs.length === 0 ? '' : ` and ${followUp.needs.map((name) => `"${name}"`).join(', ')}`;
    const what = kindOf(action).explain(action, shellWord);
    return `${followUp.name}: after ${where}${after}${when} ${what}`;
  });
}

function unsetSentences({ unsetVariables }: Plan): string[] {
  const names = [...new Set(unsetVariables.map(({ name }) => name))];
  if (names.length === 0) return [];
  return [`Not set in this environment: ${names.join(', ')}.`];
}

function query(bytes: Buffer): string {
  return truncated(showDocument(bytes, 0, { relaxed: true }), MAX_QUERY);
}

/** `26 hours`, `1 hour 30 minutes` */
function duration(milliseconds: number): string {
  const units = [
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1000],
  ] as const;
  let rest = milliseconds;
  const parts = units.flatMap(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count === 0 ? [] : [`${count} ${unit}${count === 1 ? '' : 's'}`];
  });
  return parts.join(' ');
}

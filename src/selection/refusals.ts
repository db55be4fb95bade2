/**
 * Backups that a plan cannot be carried out with, refused as early as the backup lets it be known.
 */
import { advice } from '../advice.ts';
import { type CollectionMetadata, RELAXED_REMEDY } from '../backup/backup.ts';
import { RestorePlanError } from '../errors.ts';
import type { Plan } from '../plan/plan.ts';
import { acceptsRelaxed } from '../plan/sources/sources.ts';
import type { CollectionRoutes, Route } from './routes.ts';
import { type DeletedBefore, deletedBeforeText, type SelectionManifest } from './selection.ts';

/** Names of the backup's collections shown to help. */
const NAMES_SHOWN = 12;

/** Throws RestorePlanError BACKUP when collections of the plan are missing in the backup. `held` = what it holds, where known. */
export function refuseMissing(
  missing: readonly CollectionRoutes[],
  held: readonly string[] | undefined,
): void {
  if (missing.length === 0) return;
  const named = missing.map(({ collection, routes }) => `${collection} (${routes[0]?.where})`);
  throw new RestorePlanError('BACKUP', `the backup holds no collection ${named.join(', ')}`, {
    hint: hintOf(held),
    facts: { missing: missing.map(({ collection }) => collection) },
  });
}

/**
 * Throws RestorePlanError PLAN_INVALID when a query compares text and the collection was made with a collation, by whose rules
 * a server would compare it.
 */
export function refuseCollation(
  { collection, text }: CollectionMetadata,
  { routes }: CollectionRoutes,
): void {
  const locale = text === undefined ? undefined : localeOf(text);
  const route = routes.find(({ comparesText }) => comparesText);
  if (locale === undefined || route === undefined) return;
  throw new RestorePlanError(
    'PLAN_INVALID',
    `${route.where}: the query compares text, and ${collection} compares text by the collation of locale ${locale}`,
    {
      hint: 'Byte by byte the answer could be another than the server\'s. Ask by _id, or with { $regex: "^exactly$" }, which knows no collation.',
      facts: { collection, locale },
    },
  );
}

/** Locale of a collection's collation; undefined when it has none, or the one that compares byte by byte. */
function localeOf(metadata: string): string | undefined {
  const { options } = JSON.parse(metadata) as { options?: { collation?: { locale?: unknown } } };
  const locale = options?.collation?.locale;
  return typeof locale === 'string' && locale !== 'simple' ? locale : undefined;
}

function hintOf(held: readonly string[] | undefined): string {
  if (held === undefined)
    return 'Check source.database and the name, or choose another backup: plan backups says what each holds.';
  const names = held.slice(0, NAMES_SHOWN).join(', ');
  const more = held.length > NAMES_SHOWN ? `, and ${held.length - NAMES_SHOWN} more` : '';
  return held.length === 0
    ? 'It holds no collection at all in this database. Check source.database.'
    : `It holds ${names}${more}. Check the name, or choose another backup: plan backups says what each holds.`;
}

/** Throws RestorePlanError BACKUP for documents whose numbers may have lost their types, unless the plan accepts that. */
export function refuseRelaxed(
  { source: { location } }: Pick<Plan, 'source'>,
  { backup, relaxed }: Pick<SelectionManifest, 'backup' | 'relaxed'>,
): void {
  if (relaxed !== true || acceptsRelaxed(location)) return;
  throw new RestorePlanError(
    'BACKUP',
    `${backup.location} is a relaxed export: its numbers do not say their types, and int64 and double may have been lost`,
    { hint: RELAXED_REMEDY },
  );
}

interface Unmatched {
  readonly route: Route;
  /** Documents read of its collection. */
  readonly scanned: number;
  /** What it would have chosen earlier. */
  readonly deleted: DeletedBefore | undefined;
}

/** Throws RestorePlanError BACKUP when a query at the top of the plan chose nothing. */
export function refuseUnmatched(unmatched: readonly Unmatched[]): void {
  if (unmatched.length === 0) return;
  const named = unmatched.map(({ route, scanned, deleted }) => {
    const none = scanned === 0 ? 'no document' : `none of the ${scanned} documents`;
    const earlier =
      deleted === undefined
        ? ''
        : `, but ${deletedBeforeText(deleted.count, new Date(deleted.last).toISOString())}`;
    return `${none} of ${route.name} (${route.where})${earlier}`;
  });
  const back = unmatched.some(({ deleted }) => deleted !== undefined)
    ? 'An earlier moment, or `deleted`, brings back what was deleted. '
    : '';
  throw new RestorePlanError('BACKUP', `a query matched nothing: ${named.join('; ')}`, {
    hint: advice`${back}Check the query, its types ({ $oid: … } is not a string) and the time of the backup: ${{ command: 'backups' }} lists others.`,
    facts: { unmatched: unmatched.map(({ route }) => route.name) },
  });
}

/** Loose ends of real restores: real commands, a real HTTP server, a real ledger, through the command line. */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Document } from 'bson';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { LOST_PARTNER } from '../lab/art-market.ts';
import { CANARY_PASSWORD, type Lab, openLab } from '../lab/lab.ts';
import { jsonLines, type PlanRun } from '../lab/plan-command.ts';
import { createIncident, type Incident } from '../scenarios/incident.ts';
import { until } from './until.ts';

const TO_STAGING = ['apply', 'plan.yaml', '--target', 'staging'];
const CANARY_TOKEN = 'canary-webhook-token';
const CANARY_KEY = 'canary-webhook-key';
/** Documents that the plan brings back. */
const RESTORED = 140;

let lab: Lab;
let incident: Incident;
const outputs: PlanRun[] = [];

test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  incident = await createIncident(lab);
});
test.after.each(() => incident.close());
test.after(() => lab.close());

const at = (name: string): string => join(incident.folder, name);
const read = (name: string): string => readFileSync(at(name), 'utf8');

async function plan(args: readonly string[], env: Record<string, string> = {}): Promise<PlanRun> {
  const ran = await incident.call(args, { env });
  outputs.push(ran);
  return ran;
}

function withFollowUps(text: string): void {
  incident.writePlan((usual) => `${usual}followUps:\n${text}`);
}

function script(name: string, text: string): void {
  writeFileSync(at(name), `#!/bin/sh\n${text}\n`);
  chmodSync(at(name), 0o755);
}

/** States by name, from `plan follow-up list --json`. */
async function states(target = 'staging'): Promise<Record<string, unknown>> {
  const { stdout, stderr, exitCode } = await plan([
    'follow-up',
    'list',
    'plan.yaml',
    '--target',
    target,
    '--json',
  ]);
  assert.is(exitCode, 0, stderr);
  const found = jsonLines(stdout).filter(({ type }) => type === 'follow-up-status');
  return Object.fromEntries(found.map(({ name, state }) => [name, state]));
}

/** Lines that a script added to the file `log`. */
const log = (): string[] => (existsSync(at('log')) ? read('log').trimEnd().split('\n') : []);

test(
  'a command runs once the documents are verified, and is told what was restored',
  async () => {
    script(
      'clear-cache.sh',
      `cat > stdin; cp "$RESTORE_PLAN_IDS" file; env > environment; echo "$@" > arguments`,
    );
    withFollowUps(
      `  - { name: Clear caches, on: both, run: [./clear-cache.sh, '$HOME', two words], env: [NAMED] }\n`,
    );
    const { exitCode, stdout, stderr } = await plan(TO_STAGING, {
      NAMED: 'kept',
      LANG: 'C.UTF-8',
      SHELL_VARIABLE: 'not kept',
      AWS_SECRET_ACCESS_KEY: 'not kept',
      GOOGLE_APPLICATION_CREDENTIALS: 'not kept',
      AZURE_CLIENT_SECRET: 'not kept',
      OTHER_URI: lab.production.uri,
    });
    assert.is(exitCode, 0, stderr);
    assert.match(stdout, /\[x\] Clear caches \(staging\): done/);

    const ids = jsonLines(read('stdin'));
    assert.is(ids.length, RESTORED);
    assert.is(read('file'), read('stdin'));
    for (const collection of ['partners', 'artworks', 'sale_artworks']) {
      const there = new Set(
        (await incident.staging.collection(collection).find().toArray()).map(({ _id }) => String(_id)),
      );
      const told = ids
        .filter((line) => line['collection'] === collection)
        .map((line) => (line['_id'] as Document)['$oid']);
      assert.ok(told.length > 0 && told.every((id) => there.has(id)), collection);
    }
    assert.is(read('arguments'), '$HOME two words\n');
    const environment = read('environment');
    assert.match(environment, /^RESTORE_PLAN_TARGET=staging$/m);
    assert.match(environment, new RegExp(`^RESTORE_PLAN_DATABASE=${incident.staging.databaseName}$`, 'm'));
    assert.match(environment, /^NAMED=kept$/m);
    assert.match(environment, /^LANG=C.UTF-8$/m);
    assert.match(environment, /^PATH=./m);
    assert.not.match(environment, 'not kept');
    assert.not.match(environment, /mongodb:|MONGODB_URI|OTHER_URI|RESTORE_PLAN_URI/);
    assert.equal(readdirSync(at('.restore-plan/follow-ups')), [], 'the file of ids is removed');
  },
  { deadlineMs: 60_000 },
);

test(
  'with passUri, and only then, a command gets the connection string of its target',
  async () => {
    script('connect.sh', 'echo "$RESTORE_PLAN_URI" > uri; echo "$RESTORE_PLAN_URI"; exit 1');
    withFollowUps(`  - { name: Rebuild counters, on: staging, run: [./connect.sh], passUri: true }\n`);
    await plan(TO_STAGING);
    assert.is(read('uri').trim(), lab.staging.uri);
  },
  { deadlineMs: 60_000 },
);

test(
  'a command gets the documents of each run that wrote some, whatever is applied later',
  async () => {
    script('tell.sh', 'echo "$RESTORE_PLAN_SELECTION $(wc -l < "$RESTORE_PLAN_IDS")" >> log; [ -e mended ]');
    const loose = 'followUps:\n  - { name: Tell, on: staging, run: [./tell.sh] }\n';
    incident.writePlan((usual) => usual + loose);
    const first = await plan(TO_STAGING);
    assert.is(first.exitCode, 15, first.stderr);
    const [whole = ''] = log();
    assert.match(whole, / 140$/);
    // The partner alone.
    incident.writePlan((usual) => usual.replace(/\n *dependents:[\s\S]*?\ntargets:/, '\ntargets:') + loose);
    writeFileSync(at('mended'), '');
    const second = await plan(TO_STAGING);
    assert.is(second.exitCode, 0, second.stderr);
    assert.equal(log(), [whole, whole], 'the narrower run wrote nothing; the first one is due still');
    const id = whole.slice(0, 8);
    assert.match(second.stdout, `Tell (staging): done for ${id}, `);
    assert.equal(await states(), { Tell: 'done' });

    // Somebody loses the partner again. The narrower run is older than what was done, so its document is told as well.
    await incident.staging.collection<Document>('partners').deleteOne({ _id: LOST_PARTNER });
    await plan(TO_STAGING);
    assert.is(log().length, 3);
    assert.match(log()[2] ?? '', / 1$/);
    assert.not.match(log()[2] ?? '', id);

    // A run that is begun later is covered by what was done before.
    incident.writePlan((usual) => {
      const artworks = `collections:\n  - { collection: artworks, query: { partner_id: { $oid: ${LOST_PARTNER} } } }`;
      return usual.replace(/collections:[\s\S]*?\ntargets:/, `${artworks}\ntargets:`) + loose;
    });
    await incident.staging.collection('artworks').deleteOne({ partner_id: LOST_PARTNER });
    const later = await plan(TO_STAGING);
    assert.is(later.exitCode, 0, later.stderr);
    assert.is(log().length, 3, later.stdout);
    assert.match(later.stdout, /Tell \(staging\): done for [0-9a-f]{8}, /);
    const again = await plan(['follow-up', 'run', 'plan.yaml', 'Tell', '--target', 'staging', '--again']);
    assert.is(again.exitCode, 0, again.stderr);
    assert.is(log().length, 4);
    assert.match(log()[3] ?? '', / 1$/);
  },
  { deadlineMs: 120_000 },
);

test(
  'what would keep a command from running is said by the dry-run, and refused before anything is written',
  async () => {
    script('there.sh', 'true');
    writeFileSync(at('plain.sh'), 'true');
    writeFileSync(at('odd.sh'), '#!/nowhere/sh\n');
    chmodSync(at('odd.sh'), 0o755);
    withFollowUps(`  - { name: Absent, on: staging, run: [./absent.sh] }
  - { name: Unknown, on: both, run: [no-such-program, x] }
  - { name: Plain, on: staging, run: [./plain.sh] }
  - { name: Odd, on: staging, run: [./odd.sh] }
  - { name: Bare, on: staging, run: [there.sh] }
  - { name: Variable, on: staging, run: [./there.sh], env: [UNSET, OTHER_URI] }
  - { name: Fine, on: staging, run: [./there.sh] }
  - { name: Elsewhere, on: production, run: [./absent.sh] }\n`);
    const facts = [
      `"Absent": there is no program ./absent.sh, looked for beside the file that names it: ${at('absent.sh')}`,
      '"Unknown": there is no program no-such-program in PATH',
      `"Plain": ./plain.sh is not an executable file, looked for beside the file that names it: ${at('plain.sh')}`,
      '"Odd": the interpreter /nowhere/sh, which the first line of ./odd.sh names, is not there',
      '"Bare": there is no program there.sh in PATH',
      '"Variable": the variable UNSET, which its env names, is not set',
      '"Variable": the variable OTHER_URI, which its env names, holds a connection string',
    ];
    const environment = { OTHER_URI: lab.production.uri };
    const said = await plan(['dry-run', 'plan.yaml', '--target', 'staging', '--json'], environment);
    assert.is(said.exitCode, 0, said.stderr);
    const warnings = jsonLines(said.stdout).filter(({ type }) => type === 'warning');
    for (const fact of facts)
      assert.ok(
        warnings.some(({ message }) => String(message).includes(fact)),
        fact,
      );
    assert.not.match(said.stdout, /"Fine": |"Elsewhere": /);
    const refused = await plan(TO_STAGING, environment);
    assert.is(refused.exitCode, 10, refused.stderr);
    const text = refused.stderr.replaceAll(/\s+/g, ' ');
    for (const fact of facts) assert.match(text, fact);
    assert.match(text, `\`chmod +x ${at('plain.sh')}\``);
    assert.is(await incident.staging.collection('partners').countDocuments(), 1, 'nothing was written');
  },
  { deadlineMs: 60_000 },
);

test(
  'one that fails does not undo the restore; it is retried, and never again after it succeeded',
  async () => {
    script('flaky.sh', 'echo ran >> log; [ -e mended ] || { echo "cache is down" >&2; exit 7; }');
    withFollowUps(`  - { name: Clear caches, on: staging, run: [./flaky.sh] }
  - { name: Warm caches, on: staging, run: [sh, -c, "echo warmed >> log"], needs: [Clear caches] }
  - { name: Count, on: staging, run: [sh, -c, "echo counted >> log"] }\n`);
    const first = await plan(TO_STAGING);
    assert.is(first.exitCode, 15, first.stderr);
    assert.match(first.stdout, /Verified: 140 documents/);
    assert.match(first.stdout, /\[ \] Clear caches \(staging\): failed: exit code 7/);
    assert.match(first.stdout, /cache is down/);
    assert.match(first.stdout, /Warm caches \(staging\): waits for "Clear caches"/);
    assert.equal(log(), ['ran', 'counted'], 'others go on');
    assert.is(await incident.staging.collection('partners').countDocuments(), 2, 'the partner is back');

    assert.is((await plan(['follow-up', 'run', 'plan.yaml'])).exitCode, 15);
    const other = await plan(['follow-up', 'run', 'plan.yaml', 'Count']);
    assert.is(other.exitCode, 0, 'one that was named is not judged by the others');
    assert.not.match(other.stdout, 'Clear caches');
    const waiting = await plan(['follow-up', 'run', 'plan.yaml', 'Warm caches']);
    assert.is(waiting.exitCode, 15);
    assert.match(waiting.stdout, /Clear caches \(staging\): failed/);
    writeFileSync(at('mended'), '');
    const mended = await plan(['follow-up', 'run', 'plan.yaml']);
    assert.is(mended.exitCode, 0, mended.stdout + mended.stderr);
    assert.equal(log(), ['ran', 'counted', 'ran', 'ran', 'warmed']);
    assert.is((await plan(['follow-up', 'run', 'plan.yaml'])).exitCode, 0);
    assert.is((await plan(TO_STAGING)).exitCode, 0);
    assert.is(log().length, 5, 'nothing ran again');
  },
  { deadlineMs: 120_000 },
);

test(
  'a webhook gets counts and ids as JSON, signed, with a text that Slack shows',
  async () => {
    const received: { body: string; headers: Record<string, unknown> }[] = [];
    const server: Server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      received.push({ body: Buffer.concat(chunks).toString(), headers: request.headers });
      response.writeHead(received.length === 1 ? 503 : 200).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      withFollowUps(`  - name: Tell the channel
    on: staging
    webhook: { url: "\${HOOK_URL}", secret: "\${HOOK_KEY}" }\n`);
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/${CANARY_TOKEN}`;
      const { exitCode, stderr } = await plan(TO_STAGING, { HOOK_URL: url, HOOK_KEY: CANARY_KEY });
      assert.is(exitCode, 0, stderr);
      assert.is(received.length, 2, 'a receiver in trouble is asked again');
      const { body, headers } = received[1] as (typeof received)[number];
      assert.is(
        headers['x-restore-plan-signature'],
        `sha256=${createHmac('sha256', CANARY_KEY).update(body).digest('hex')}`,
      );
      const message = JSON.parse(body) as Document;
      assert.is(
        message['text'],
        `restore-plan partner-57d17993: 140 documents restored to staging, database ${incident.staging.databaseName} (partners 1, artworks 100, sale_artworks 39)`,
      );
      assert.equal(
        [message['target'], message['followUp'], message['idsOmitted']],
        ['staging', 'Tell the channel', 0],
      );
      assert.is(message['ids'].length, RESTORED);
      assert.equal(Object.keys(message['ids'][0]), ['collection', '_id']);
      assert.is(message['collections'][1].inserted, 100);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
  { deadlineMs: 60_000 },
);

test(
  'a webhook whose address or key is not set fails by name, instead of going out unsigned',
  async () => {
    withFollowUps(`  - name: Tell the channel
    on: staging
    webhook: { url: "http://127.0.0.1:9/", secret: "\${HOOK_KEY}" }\n`);
    const { exitCode, stdout } = await plan(TO_STAGING);
    assert.is(exitCode, 15);
    assert.match(stdout, /Tell the channel \(staging\): failed: not set: HOOK_KEY/);
  },
  { deadlineMs: 60_000 },
);

test(
  'what a person has to do is open until it is ticked off, with a note',
  async () => {
    withFollowUps(`  - { name: Tell the partner, on: both, manual: "Mail the partner manager.\\nSay sorry." }
  - { name: Close the ticket, on: both, manual: Close it., needs: [Tell the partner] }\n`);
    assert.equal(await states(), { 'Tell the partner': 'not due', 'Close the ticket': 'not due' });
    const early = await plan(['follow-up', 'done', 'plan.yaml', 'Tell the partner', '--target', 'staging']);
    assert.is(early.exitCode, 11);
    assert.match(early.stderr, /not verified in staging/);

    const applied = await plan(TO_STAGING);
    assert.is(applied.exitCode, 0, 'a task for a person is no failure');
    assert.match(
      applied.stdout,
      /\[ \] Tell the partner \(staging\): open\n {4}Mail the partner manager\.\n {4}Say sorry\./,
    );
    assert.equal(await states(), { 'Tell the partner': 'open', 'Close the ticket': 'waiting' });
    const tick = ['follow-up', 'done', 'plan.yaml', 'Tell the partner', '--target', 'staging', '--note'];
    const done = await plan([...tick, 'mailed on Tuesday']);
    assert.is(done.exitCode, 0, done.stderr);
    assert.match(done.stdout, /\[x\] Tell the partner \(staging\): done, .*\n +Note: mailed on Tuesday/);
    assert.equal(await states(), { 'Tell the partner': 'done', 'Close the ticket': 'open' });
    const ticked = await plan([...tick, 'x']);
    assert.is(ticked.exitCode, 0, ticked.stderr);
    assert.match(
      ticked.stderr,
      /"Tell the partner" of staging was done before: nothing was recorded, and the note is not kept/,
    );
    assert.equal(await states('production'), {
      'Tell the partner': 'not due',
      'Close the ticket': 'not due',
    });
  },
  { deadlineMs: 90_000 },
);

test('a misspelt name is answered with the right one, and a target must be named where there are two', async () => {
  withFollowUps(`  - { name: Tell the partner, on: both, manual: Mail. }
  - { name: Close, on: production, manual: "1. Close it.\\n2. Say so." }\n`);
  const misspelt = await plan(['follow-up', 'done', 'plan.yaml', 'Tell the partnr']);
  assert.is(misspelt.exitCode, 11);
  assert.match(misspelt.stderr, /Did you mean "Tell the partner"\?/);
  const which = await plan(['follow-up', 'done', 'plan.yaml', 'Tell the partner']);
  assert.is(which.exitCode, 11);
  assert.match(which.stderr, /--target staging or --target production/);
  for (const idle of [
    ['run', 'plan.yaml', '--again'],
    ['list', 'plan.yaml', '--again'],
    ['list', 'plan.yaml', '--note', 'x'],
  ]) {
    const refused = await plan(['follow-up', ...idle]);
    assert.is(refused.exitCode, 11, refused.stdout);
    assert.match(refused.stderr, /^error: --(again|note) goes with `plan follow-up/);
  }
  const elsewhere = await plan(['follow-up', 'list', 'plan.yaml', 'Close', '--target', 'staging']);
  assert.is(elsewhere.stdout, 'The plan has no follow-up "Close" for staging.\n');
});

test(
  'where nothing had to be written, only follow-ups that are always wanted run',
  async () => {
    withFollowUps(`  - { name: Clear caches, on: staging, run: [sh, -c, "echo cleared >> log"] }
  - { name: Report, on: staging, when: always, run: [sh, -c, "wc -l >> log"] }\n`);
    await plan(TO_STAGING);
    assert.is(log().length, 2);
    // Without a ledger the documents are there as if somebody else had put them back.
    await incident.staging.collection('restore_plan.runs').drop();
    await incident.staging.collection('restore_plan.journal').drop();
    writeFileSync(at('log'), '');
    const { exitCode, stdout } = await plan(TO_STAGING);
    assert.is(exitCode, 0);
    assert.match(stdout, /Clear caches \(staging\): not needed/);
    assert.equal(log(), ['0']);
  },
  { deadlineMs: 90_000 },
);

test(
  'kill -9 between start and end: the end is unknown, and it needs a word',
  async () => {
    script('slow.sh', 'echo began >> log; [ -e quick ] || { touch running; sleep 600; }; echo ended >> log');
    withFollowUps(`  - { name: Clear caches, on: staging, run: [./slow.sh] }\n`);
    const apply = incident.start(TO_STAGING);
    await until(() => existsSync(at('running')));
    apply.signal('SIGKILL');
    await apply.ended;
    assert.equal(await states(), { 'Clear caches': 'unknown' });

    writeFileSync(at('quick'), '');
    for (const args of [
      TO_STAGING,
      ['follow-up', 'run', 'plan.yaml'],
      ['follow-up', 'run', 'plan.yaml', 'Clear caches'],
    ]) {
      const { exitCode, stdout } = await plan(args);
      assert.is(exitCode, 15, args.join(' '));
      assert.match(stdout, /Clear caches \(staging\): begun, end not known, .*\n +It may still be going on/);
    }
    assert.equal(log(), ['began'], 'nothing ran it again by itself');
    assert.is((await plan(['follow-up', 'run', 'plan.yaml', 'Clear caches', '--again'])).exitCode, 0);
    assert.equal(log(), ['began', 'began', 'ended']);
    assert.equal(await states(), { 'Clear caches': 'done' });
  },
  { deadlineMs: 120_000 },
);

test(
  'one that another process is at is not begun again, until that process is dead',
  async () => {
    script('slow.sh', 'echo began >> log; [ -e quick ] || { touch running; sleep 600; }');
    withFollowUps(`  - { name: Clear caches, on: staging, run: [./slow.sh] }\n`);
    const apply = incident.start(TO_STAGING);
    await until(() => existsSync(at('running')));
    const again = ['follow-up', 'run', 'plan.yaml', 'Clear caches', '--again'];
    const refused = await plan(again);
    assert.is(refused.exitCode, 17, refused.stderr);
    assert.match(refused.stderr, /"Clear caches" is going on: begun by .*@.* at 20/);
    assert.equal(log(), ['began']);
    apply.signal('SIGKILL');
    await apply.ended;
    writeFileSync(at('quick'), '');
    const taken = await plan(again);
    assert.is(taken.exitCode, 0, taken.stderr);
    assert.equal(log(), ['began', 'began']);
  },
  { deadlineMs: 90_000 },
);

test(
  'an unknown one can be ticked off instead',
  async () => {
    script('slow.sh', 'touch running; sleep 600');
    withFollowUps(`  - { name: Clear caches, on: staging, run: [./slow.sh] }\n`);
    const apply = incident.start(TO_STAGING);
    await until(() => existsSync(at('running')));
    apply.signal('SIGKILL');
    await apply.ended;
    const done = await plan([
      'follow-up',
      'done',
      'plan.yaml',
      'Clear caches',
      '--note',
      'the log shows that it ended',
    ]);
    assert.is(done.exitCode, 0, done.stderr);
    assert.is((await plan(['follow-up', 'run', 'plan.yaml'])).exitCode, 0);
  },
  { deadlineMs: 90_000 },
);

test(
  'Ctrl-C ends the command with the run and leaves the follow-up failed, not unknown',
  async () => {
    script('slow.sh', 'echo $$ > running; sleep 600');
    withFollowUps(`  - { name: Clear caches, on: staging, run: [./slow.sh] }\n`);
    const apply = incident.start(TO_STAGING);
    await until(() => existsSync(at('running')) && read('running') !== '');
    apply.signal('SIGINT');
    const { exitCode, stdout } = await apply.ended;
    assert.is(exitCode, 130);
    assert.match(stdout, /Verified: 140 documents/);
    assert.equal(await states(), { 'Clear caches': 'failed' });
    assert.throws(() => process.kill(Number(read('running')), 0), 'the command has ended');
  },
  { deadlineMs: 90_000 },
);

test(
  'two runs at once begin it once',
  async () => {
    script('once.sh', 'echo ran >> log; [ -e fail ] && exit 1; sleep 1');
    writeFileSync(at('fail'), '');
    withFollowUps(`  - { name: Clear caches, on: staging, run: [./once.sh] }\n`);
    await plan(TO_STAGING);
    writeFileSync(at('log'), '');
    script('once.sh', 'echo ran >> log; sleep 1');
    await Promise.all([1, 2, 3].map(() => plan(['follow-up', 'run', 'plan.yaml'])));
    assert.equal(log(), ['ran']);
    assert.equal(await states(), { 'Clear caches': 'done' });
  },
  { deadlineMs: 120_000 },
);

test(
  'a forgotten dependent is found by the dry-run',
  async () => {
    const { exitCode, stdout } = await plan(['dry-run', 'plan.yaml']);
    assert.is(exitCode, 0);
    const all = await incident.production.collection('offers').countDocuments();
    const [, many] =
      /\? offers\.artwork_id: (\d+) documents refer to the selection \(artworks\); not in this plan/.exec(
        stdout.replace(/\s+/g, ' '),
      ) ?? [];
    assert.ok(Number(many) > 0 && Number(many) < all, `${many} of ${all}`);
    const again = jsonLines((await plan(['dry-run', 'plan.yaml', '--json'])).stdout).at(-2);
    const [first] = (again as Document)['suggestions'] as Document[];
    const { kind, collection, field, parent, documents } = first as Document;
    assert.equal(
      [kind, collection, field, parent, documents],
      ['forgottenDependent', 'offers', 'artwork_id', 'artworks', Number(many)],
    );
  },
  { deadlineMs: 60_000 },
);

test(
  'no secret is in any output, in the ledger, or in what is left in the work directory',
  async () => {
    script('leak.sh', 'env; echo "$RESTORE_PLAN_URI"; exit 1');
    withFollowUps(`  - { name: Leak, on: staging, run: [./leak.sh], passUri: true }
  - { name: Hook, on: staging, webhook: { url: "\${HOOK_URL}", secret: "\${HOOK_KEY}" } }\n`);
    await plan(TO_STAGING, {
      HOOK_URL: `http://${CANARY_TOKEN}.invalid/${CANARY_TOKEN}`,
      HOOK_KEY: CANARY_KEY,
    });
    await plan(['follow-up', 'list', 'plan.yaml', '--json']);
    const runs = await incident.staging.collection('restore_plan.runs').find().toArray();
    const [first] = (runs[0]?.['followUps'] ?? []) as Document[];
    assert.match(
      first?.['output'],
      /RESTORE_PLAN_URI=\S*\[redacted\]/,
      'the command did print the connection string',
    );
    const everything = JSON.stringify([runs, outputs]);
    for (const canary of [CANARY_PASSWORD, CANARY_TOKEN, CANARY_KEY]) {
      assert.not.ok(everything.includes(canary), canary);
      for (const file of readdirSync(at('.restore-plan'), { recursive: true, encoding: 'utf8' })) {
        if (/\.(?:json|ndjson|txt)$/.test(file))
          assert.not.ok(read(join('.restore-plan', file)).includes(canary), file);
      }
    }
  },
  { deadlineMs: 90_000 },
);

test.run();

/** What `npm pack` makes: the program runs from it alone, and it stays small. Only where the program was just built. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { ObjectId, serialize } from 'bson';
import * as assert from 'uvu/assert';
import { schemaText } from '../../src/plan/schema-file.ts';
import { VERSION } from '../../src/version.ts';
import { suite } from '../harness.ts';
import { BUILT_PROGRAM } from '../lab/plan-command.ts';
import { PlanFolder } from '../plan/plan-folder.ts';

const test = suite('the package');
const ROOT = join(import.meta.dirname, '..', '..');
const MOST_BYTES = 2_500_000;
const PLAN = `version: 1
name: one
reason: a test
source: { path: dump/, database: gravity }
collections:
  - { collection: artworks, query: { _id: { $oid: 57d17993cafebabefeedface } } }
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: gravity-staging }
`;

let folder: PlanFolder;
let packed: PlanFolder | undefined;
test.after(() => packed?.remove());
test.before.each(() => {
  folder = new PlanFolder();
});
test.after.each(() => folder.remove());

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: folder.path, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Packs it, the first time, and unpacks it where no dependencies are; returns its folder. */
function unpacked(): { readonly path: string; readonly bytes: number } {
  if (packed === undefined) {
    packed = new PlanFolder();
    run('npm', 'pack', ROOT, '--ignore-scripts', '--silent', '--pack-destination', packed.path);
  }
  const [name = ''] = readdirSync(packed.path).filter((each) => each.endsWith('.tgz'));
  run('tar', '-xzf', join(packed.path, name));
  return { path: join(folder.path, 'package'), bytes: statSync(join(packed.path, name)).size };
}

/** The files that the program is packed into: name and text. */
function packs(): [string, string][] {
  const programs = join(ROOT, 'dist', 'program');
  const names = readdirSync(programs).filter((each) => each.endsWith('.cjs'));
  return names.map((name) => [name, readFileSync(join(programs, name), 'utf8')]);
}

if (process.env[BUILT_PROGRAM] === undefined) test.skip('holds a program', 'nothing was built');
else {
  test('runs without what it was built from, and reads a large backup by threads', () => {
    const { path, bytes } = unpacked();
    assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
    const { bin } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as { bin: { plan: string } };
    const program = join(path, bin.plan);
    assert.is(run(process.execPath, program, '--version'), `${VERSION}\n`);
    assert.is(run(process.execPath, program, 'schema'), schemaText());
    folder.write('plan.yaml', PLAN);
    assert.match(run(process.execPath, program, 'validate', 'plan.yaml'), /one is valid/);

    mkdirSync(join(folder.path, 'dump', 'gravity'), { recursive: true });
    const document = serialize({
      _id: new ObjectId('57d17993cafebabefeedface'),
      image: Buffer.alloc(1_000_000),
    });
    const file = join(folder.path, 'dump', 'gravity', 'artworks.bson');
    writeFileSync(file, '');
    for (let i = 0; i < 135; i++) {
      document[9] = i === 100 ? 0x57 : 0;
      appendFileSync(file, document);
    }
    const select = (threads: string): string => {
      const args = [
        'select',
        'plan.yaml',
        '--json',
        '--quiet',
        '--threads',
        threads,
        '--work-dir',
        `work-${threads}`,
      ];
      return run(process.execPath, program, ...args);
    };
    const digest = /"digest":"\w{64}"/;
    const [one] = digest.exec(select('1')) as RegExpExecArray;
    assert.is(digest.exec(select('2'))?.[0], one);
    rmSync(join(path, 'dist', 'selection', 'slices', 'slice-thread.js'));
    assert.throws(() => select('3'), /ERR_MODULE_NOT_FOUND|Cannot find module/);
  });

  test('is written in ASCII, which is how it is read: its pages show the signs that they are made of', () => {
    for (const [name, text] of packs()) assert.equal(text.match(/[^\0-\x7f]/g) ?? [], [], name);
  });

  test('holds nothing of a test', () => {
    for (const [name, text] of packs()) assert.not.match(text, /DIE_AT|RESTORE_PLAN_TEST/, name);
  });

  test('library users get the S3 client whole, without a package of it that could need another Node.js', () => {
    const { path } = unpacked();
    const { dependencies } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as {
      dependencies: Record<string, string>;
    };
    assert.equal(
      Object.keys(dependencies).filter((name) => /aws|smithy|proxy-agent/.test(name)),
      [],
    );
    const client = join(path, 'dist', 'backup', 's3', 's3-client.js');
    const use = `const { connectS3 } = await import(${JSON.stringify(client)});
      const s3 = await connectS3({ bucket: 'b', region: 'us-east-1', endpoint: 'http://127.0.0.1:1' }, { connectMs: 500, answerMs: 500 });
      await s3.head('k').catch(({ code }) => console.log(code));`;
    const env = { ...process.env, AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', use], {
      env,
      encoding: 'utf8',
    });
    assert.is(stdout, 'ECONNREFUSED\n', stderr);
    assert.is(stderr, '', 'the SDK warns of Node.js versions');
  });

  /** `plan schema` of the unpacked program, with these variables. */
  const schemaWith = (path: string, env: Readonly<Record<string, string | undefined>>): string =>
    execFileSync(process.execPath, [join(path, 'dist', 'main.cjs'), 'schema'], {
      env: { ...process.env, XDG_CACHE_HOME: undefined, ...env },
      encoding: 'utf8',
      timeout: 60_000,
    });

  const filesBelow = (path: string): string[] =>
    existsSync(path) ? readdirSync(path, { recursive: true, encoding: 'utf8' }).sort() : [];

  test('keeps what V8 compiled of it in the user’s cache folder alone, and compiles again what is damaged', () => {
    const { path } = unpacked();
    const shipped = filesBelow(path);
    const cache = join(folder.path, 'cache');
    const schema = (): string => schemaWith(path, { XDG_CACHE_HOME: cache });
    schema();
    const [own, name = '', ...more] = filesBelow(cache);
    assert.is(own, 'restore-plan');
    assert.equal(more, []);
    assert.is(statSync(join(cache, 'restore-plan')).mode & 0o777, 0o700);
    const file = join(cache, name);
    assert.is(statSync(file).mode & 0o777, 0o600);
    const whole = readFileSync(file);
    assert.is(schema(), schemaText());
    assert.ok(readFileSync(file).equals(whole));
    const changed = Buffer.from(whole);
    changed.fill(0x55, whole.length / 2, whole.length / 2 + 100);
    for (const damaged of [changed, whole.subarray(0, 5000), Buffer.alloc(0)]) {
      writeFileSync(file, damaged);
      assert.is(schema(), schemaText());
      assert.ok(readFileSync(file).length > 5000 && !readFileSync(file).equals(damaged));
    }
    assert.equal(filesBelow(cache), [own, name]);
    assert.equal(filesBelow(path), shipped, 'nothing is written beside the program');
  });

  test('loads no more of itself than a command needs, and keeps of each part what it compiled', () => {
    const { path } = unpacked();
    folder.write('plan.yaml', PLAN);
    const parts = (args: readonly string[], env: Readonly<Record<string, string>> = {}): string[] => {
      const cache = join(folder.path, `${args[0]} ${Object.keys(env)}`);
      spawnSync(process.execPath, [join(path, 'dist', 'main.cjs'), ...args], {
        cwd: folder.path,
        env: { ...process.env, ...env, XDG_CACHE_HOME: cache },
      });
      return filesBelow(join(cache, 'restore-plan')).map((name) => name.replace(/-.*/, ''));
    };
    const set = { STAGING_MONGODB_URI: 'mongodb://db.example/' };
    assert.equal(parts(['validate', 'plan.yaml']), ['light']);
    assert.equal(parts(['validate', 'plan.yaml'], set), ['light', 'url']);
    assert.equal(parts(['explain', 'plan.yaml']), ['main']);
    assert.equal(
      packs().map(([name]) => name.replace(/-.*/, '')),
      ['display', 'driver', 'light', 'main', 's3', 'url'],
    );
  });

  test('finds the cache folder in the home, and does without one', () => {
    const { path } = unpacked();
    const home = join(folder.path, 'home');
    mkdirSync(home);
    assert.is(schemaWith(path, { HOME: home }), schemaText());
    const place = process.platform === 'darwin' ? ['Library', 'Caches'] : ['.cache'];
    assert.is(filesBelow(join(home, ...place, 'restore-plan')).length, 1);
    const file = folder.write('no-folder', '');
    // Where no folder can be made, and the system says that there is no such one.
    const odd = process.platform === 'linux' ? ['/proc/none'] : [];
    for (const HOME of [file, '/nonexistent/home', ...odd, 'relative', '']) {
      assert.is(schemaWith(path, { HOME }), schemaText(), HOME);
      assert.is(schemaWith(path, { HOME: home, XDG_CACHE_HOME: HOME }), schemaText(), HOME);
    }
  });

  test('neither runs nor writes compiled code where somebody else could have put it', () => {
    const { path } = unpacked();
    const cache = join(folder.path, 'open');
    const own = join(cache, 'restore-plan');
    const schema = (): string => schemaWith(path, { XDG_CACHE_HOME: cache });
    mkdirSync(own, { recursive: true });
    chmodSync(own, 0o777);
    assert.is(schema(), schemaText());
    assert.equal(filesBelow(own), [], 'others may write there');
    chmodSync(own, 0o700);
    schema();
    const [name = ''] = filesBelow(own);
    const before = readFileSync(join(own, name));
    const elsewhere = join(folder.path, 'elsewhere');
    renameSync(join(own, name), elsewhere);
    symlinkSync(elsewhere, join(own, name));
    assert.is(schema(), schemaText());
    assert.ok(lstatSync(join(own, name)).isFile(), 'a link is not followed, but replaced');
    assert.ok(readFileSync(elsewhere).equals(before));
    if (process.getuid?.() !== 0) return; // only root can give something away
    const stranger = 65_534;
    chownSync(join(own, name), stranger, stranger);
    assert.is(schema(), schemaText());
    assert.is(statSync(join(own, name)).uid, 0, 'a file of somebody else is not read, but replaced');
    chownSync(own, stranger, stranger);
    rmSync(join(own, name));
    assert.is(schema(), schemaText());
    assert.equal(filesBelow(own), [], 'the folder is somebody else’s');
  });
}

test.run();

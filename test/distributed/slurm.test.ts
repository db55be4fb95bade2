/** Array jobs of a real Slurm. The same with 4 GB, and with kills at random moments: `npm run distributed`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { test } from '../harness.ts';
import { CANARY_KEY_ID, CANARY_SECRET_KEY } from '../lab/s3.ts';
import { whyNoSlurm } from '../lab/slurm.ts';
import { program } from '../lab/tools.ts';
import { digestOf, done, filesBelow } from './by-hand.ts';
import { killWorker, openGround, type SlurmGround, untilRunning } from './in-slurm.ts';

const why = whyNoSlurm();
if (why !== undefined) test.skip('array jobs of a real Slurm', why);
else inSlurm();
test.run();

function inSlurm(): void {
  let ground: SlurmGround;
  let expected: string;

  test.before(async () => {
    ground = await openGround({ artworks: 40_000, lots: 60_000, people: 10, offers: 10 }, { processors: 4 });
    expected = digestOf(done(await ground.select('--work-dir', 'alone', '--json')));
  });
  test.after(() => ground.stop());

  const submitting = (workDirectory: string, workers: number, exchange: string): string[] => [
    ...['--work-dir', workDirectory, '--engine', 'slurm', '--workers', String(workers)],
    ...['--exchange', exchange, '--json'],
  ];

  test(
    '64 MB by an array of 8, of which one is killed in the middle: the digest of one machine',
    async () => {
      const running = ground.start(...submitting('killed', 8, ground.exchange));
      let isOver = false;
      void running.ended.finally(() => {
        isOver = true;
      });
      const task = await untilRunning(ground, () => isOver);
      assert.ok(task !== undefined && killWorker(ground, task), 'a worker was killed');
      assert.is(digestOf(done(await running.ended)), expected);
      assert.equal(await ground.parts(), [], 'documents are not left in the exchange');
      const again = done(await ground.select(...submitting('killed', 8, ground.exchange)));
      assert.match(again.stdout, /"selection-reused"/, 'it is a selection like any other');
    },
    { deadlineMs: 300_000 },
  );

  test(
    'a coordinator that is killed and started again goes on from what is there, in a shared folder',
    async () => {
      const shared = join(ground.folder, 'shared');
      const first = ground.start('other.yaml', ...submitting('again', 2, shared));
      while (!filesBelow(shared).some((name) => name.endsWith('.part')))
        await untilRunning(ground, () => true);
      first.signal('SIGKILL');
      await first.ended;
      const there = filesBelow(shared).filter((name) => name.endsWith('.part'));
      // Everything that anybody can see of the job while it runs.
      const seen = `${ground.slurm.call('squeue', '--format=%all')}${ground.slurm.call('scontrol', 'show', 'job')}`;
      const second = done(await ground.select('other.yaml', ...submitting('again', 2, shared)));
      assert.is(digestOf(second), expected);
      assert.ok(there.length > 0);
      assert.equal(filesBelow(shared), [], 'nothing is left, logs neither');
      for (const secret of [CANARY_KEY_ID, CANARY_SECRET_KEY])
        assert.not.ok(`${seen}${second.stdout}${second.stderr}`.includes(secret));
    },
    { deadlineMs: 300_000 },
  );

  test(
    'what --print writes makes the same selection, run as it stands; parts and logs hold no secret',
    async () => {
      const shared = join(ground.folder, 'shared');
      const { stdout } = done(
        await ground.select(
          '--work-dir',
          'printed',
          '--engine',
          'slurm',
          '--workers',
          '2',
          '--exchange',
          shared,
          '--print',
        ),
      );
      // The last of its commands takes away what is looked at here.
      const [, making = '', removing = ''] = /^(.*\n)([^\n]+ --clean [^\n]+\n)$/s.exec(stdout) ?? [];
      const runs = (script: string) =>
        program('env', [`SLURM_CONF=${ground.slurm.env['SLURM_CONF']}`, 'sh', '-c', script], ground.folder);
      await runs(making);
      const manifest =
        filesBelow(join(ground.folder, 'printed')).find((name) => name.endsWith('manifest.json')) ?? '';
      assert.is(JSON.parse(readFileSync(join(ground.folder, 'printed', manifest), 'utf8')).digest, expected);
      const left = filesBelow(shared);
      assert.ok(left.some((name) => name.endsWith('.log')) && left.some((name) => name.endsWith('.part')));
      for (const text of [stdout, ...left.map((name) => readFileSync(join(shared, name), 'latin1'))])
        for (const secret of [CANARY_KEY_ID, CANARY_SECRET_KEY]) assert.not.ok(text.includes(secret));
      await runs(removing);
      assert.equal(filesBelow(shared), []);
    },
    { deadlineMs: 300_000 },
  );

  test(
    'what stopped a worker is told by whoever waits for it, and not tried for ever',
    async () => {
      const text = readFileSync(join(ground.folder, 'plan.yaml'), 'utf8');
      writeFileSync(join(ground.folder, 'variable.yaml'), text.replace('db/db.tar', `"db/\${NAME}.tar"`));
      const args = ['--work-dir', 'refused', '--engine', 'slurm', '--workers', '2'];
      // Of this shell alone, and not in the env file that the workers have.
      const { exitCode, stderr } = await ground.select(
        'variable.yaml',
        'NAME=db',
        ...args,
        '--exchange',
        ground.exchange,
      );
      assert.is(exitCode, 10, stderr);
      assert.match(stderr, /worker [01] on \S+: .*NAME/s);
      done(await ground.select('variable.yaml', 'NAME=db', '--clean', '--exchange', ground.exchange));
      assert.equal(await ground.parts(), []);
    },
    { deadlineMs: 300_000 },
  );
}

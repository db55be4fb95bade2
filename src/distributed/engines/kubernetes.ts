/**
 * Kubernetes: an Indexed Job for each level, through `kubectl` with the context and the rights of whoever calls. The plan and the files that it names
 * lie in a ConfigMap; credentials come with the service account, or from a Secret that somebody else keeps.
 */
import { stringify } from 'yaml';
import { RestorePlanError } from '../../errors.ts';
import type { Run } from '../../run.ts';
import {
  type ArrayJob,
  call,
  type Engine,
  type JobState,
  type LastSteps,
  shellWord,
  untilOver,
} from './engine.ts';

/** What the pods of all jobs have in common. */
export interface PodTemplate {
  readonly image: string;
  /** Undefined: that of kubectl's context. */
  readonly namespace: string | undefined;
  readonly serviceAccount: string | undefined;
  /** Name of a Secret whose keys become variables of the workers. */
  readonly secret: string | undefined;
  /** What a worker asks for, as Kubernetes writes it: `1`, `512Mi`. */
  readonly cpu: string;
  readonly memory: string;
  /** Set in every worker. */
  readonly variables: readonly (readonly [name: string, value: string])[];
  /** The plan and what it names: paths below one folder, and their text. None: they lie in the image. */
  readonly files: readonly { readonly path: string; readonly text: string }[];
}

/** Where the ConfigMap is seen in a container, and where a worker may write. */
export const PLAN_FOLDER = '/mnt/plan';
const SCRATCH_FOLDER = '/mnt/scratch';
/** A folder in it is the worker's own, whoever owns the volume. */
export const WORKER_DIRECTORY = `${SCRATCH_FOLDER}/restore-plan`;

/** What etcd takes of a ConfigMap. */
const MOST_BYTES = 1024 * 1024;
/** Tries of one index: pods may be evicted. */
const TRIES = 3;
/** Exit codes after which another try leads nowhere: the plan is invalid, or the command. */
const LASTING_EXITS = [10, 11];
const DAY_SECONDS = 24 * 60 * 60;
const NAME_LABEL = 'app.kubernetes.io/name=restore-plan';

/** An object as the API takes it. */
export type Manifest = Readonly<Record<string, unknown>> & { readonly kind: string };

export class Kubernetes implements Engine {
  readonly name = 'kubernetes';
  readonly #template: PodTemplate;

  /** Throws USAGE where the plan's files are too many for a ConfigMap. */
  constructor(template: PodTemplate) {
    this.#template = template;
    const bytes = template.files.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
    if (bytes <= MOST_BYTES) return;
    const largest = [...template.files].sort((a, b) => b.text.length - a.text.length)[0];
    throw new RestorePlanError(
      'USAGE',
      `the plan and the files it names are ${bytes} bytes together, and a ConfigMap holds ${MOST_BYTES}`,
      {
        hint:
          `The largest is ${largest?.path}. Build an image that holds plan and files, and say where in it: --plan-path /plans/incident.yaml. ` +
          'Or select by a condition in the place of a list.',
      },
    );
  }

  async run(run: Run, job: ArrayJob, told: (state: JobState) => void): Promise<void> {
    const before = await this.#stateOf(job);
    if (before === 'over') await this.#kubectl(['delete', 'job', job.name, '--wait=true']);
    if (before === undefined || before === 'over') {
      const configMap = this.configMap(job);
      if (configMap !== undefined) await this.#kubectl(['apply', '--filename=-'], JSON.stringify(configMap));
      await this.#kubectl(['create', '--filename=-'], JSON.stringify(this.job(job)));
    }
    const ask = async (): Promise<JobState | undefined> => {
      const state = await this.#stateOf(job);
      return state === 'over' ? undefined : state;
    };
    await untilOver(run, ask, told);
  }

  async clean(isOurs: (name: string) => boolean): Promise<void> {
    const found = await this.#kubectl(['get', 'job,configmap', `--selector=${NAME_LABEL}`, '--output=name']);
    // `job.batch/rp-incident-4711-8c330229-…-l0`
    const ours = found.split('\n').filter((each) => isOurs(each.slice(each.indexOf('/') + 1)));
    if (ours.length > 0)
      await this.#kubectl(['delete', ...ours, '--wait=true', '--cascade=foreground', '--ignore-not-found']);
  }

  print(steps: readonly (ArrayJob | Omit<ArrayJob, 'indexes'>)[], { join, clean }: LastSteps): string {
    const configMap = steps[0] && this.configMap(steps[0]);
    const documents = [
      ...(configMap === undefined ? [] : [['The plan, and the files it names.', configMap] as const]),
      ...steps.map(
        (step) =>
          [
            `${step.title}. Apply it when the one before it is complete:\n# kubectl wait --for=condition=complete --timeout=-1s job/${step.name}`,
            this.job(step),
          ] as const,
      ),
    ];
    const written = documents.map(
      ([title, manifest]) => `# ${title}\n${stringify(manifest, { lineWidth: 0 })}`,
    );
    const command = (args: readonly string[]): string => ['plan', ...args].map(shellWord).join(' ');
    return `${written.join('---\n')}# The selection, on this machine: ${command(join)}\n# Then, as documents of the database lie in the exchange: ${command(clean)}\n`;
  }

  /** Undefined where the image holds the plan. */
  configMap(job: Pick<ArrayJob, 'name'>): Manifest | undefined {
    const { files } = this.#template;
    if (files.length === 0) return undefined;
    const data = Object.fromEntries(files.map(({ text }, i) => [keyOf(i), text]));
    return { apiVersion: 'v1', kind: 'ConfigMap', metadata: this.#metadata(job, '-plan'), data };
  }

  /** Without indexes, a job of one pod. */
  job(job: ArrayJob | Omit<ArrayJob, 'indexes'>): Manifest {
    const { title, workers } = job;
    const { serviceAccount } = this.#template;
    const isArray = 'indexes' in job;
    const indexed = isArray
      ? {
          completionMode: 'Indexed',
          completions: workers,
          parallelism: workers,
          backoffLimitPerIndex: TRIES,
          maxFailedIndexes: workers,
        }
      : { completions: 1, parallelism: 1, backoffLimit: TRIES };
    return {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { ...this.#metadata(job), annotations: { 'restore-plan/step': title } },
      spec: {
        ...indexed,
        ttlSecondsAfterFinished: 7 * DAY_SECONDS,
        podFailurePolicy: {
          rules: [
            {
              action: isArray ? 'FailIndex' : 'FailJob',
              onExitCodes: { containerName: 'worker', operator: 'In', values: LASTING_EXITS },
            },
            // An eviction is none of the worker's doing.
            { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          ],
        },
        template: {
          metadata: { labels: labelsOf(job) },
          spec: {
            restartPolicy: 'Never',
            ...(serviceAccount !== undefined && { serviceAccountName: serviceAccount }),
            // It asks the cluster for nothing.
            automountServiceAccountToken: false,
            containers: [this.#container(job)],
            volumes: [...this.#planVolume(job), { name: 'scratch', emptyDir: {} }],
          },
        },
      },
    };
  }

  #container(job: Pick<ArrayJob, 'name' | 'arguments'>): object {
    const { image, cpu, memory, secret, variables } = this.#template;
    return {
      name: 'worker',
      image,
      command: ['plan', ...job.arguments],
      ...(variables.length > 0 && { env: variables.map(([name, value]) => ({ name, value })) }),
      ...(secret !== undefined && { envFrom: [{ secretRef: { name: secret } }] }),
      resources: { requests: { cpu, memory }, limits: { memory } },
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
      volumeMounts: [
        ...this.#planVolume(job).map(({ name }) => ({ name, mountPath: PLAN_FOLDER, readOnly: true })),
        { name: 'scratch', mountPath: SCRATCH_FOLDER },
      ],
    };
  }

  #planVolume(job: Pick<ArrayJob, 'name'>): { readonly name: string }[] {
    const items = this.#template.files.map(({ path }, i) => ({ key: keyOf(i), path }));
    const configMap = { name: `${selectionOf(job)}-plan`, items };
    return items.length === 0 ? [] : [{ name: 'plan', ...{ configMap } }];
  }

  /** With an ending, of what belongs to the selection and not to one job of it. */
  #metadata(job: Pick<ArrayJob, 'name'>, ending?: string): object {
    const { namespace } = this.#template;
    const name = ending === undefined ? job.name : `${selectionOf(job)}${ending}`;
    return { name, ...(namespace !== undefined && { namespace }), labels: labelsOf(job) };
  }

  async #stateOf({ name, workers }: ArrayJob): Promise<JobState | 'over' | undefined> {
    const answer = await this.#kubectl(['get', 'job', name, '--ignore-not-found', '--output=json']);
    if (answer.trim() === '') return undefined;
    const { status = {} } = JSON.parse(answer) as { readonly status?: JobStatus };
    const isOver = status.conditions?.some(
      (each) => each.status === 'True' && ['Complete', 'Failed'].includes(each.type),
    );
    if (isOver) return 'over';
    const { active = 0, ready = 0, succeeded = 0, failed = 0 } = status;
    return { running: ready, waiting: Math.max(0, active - ready, workers - succeeded - failed - ready) };
  }

  #kubectl(args: readonly string[], input?: string): Promise<string> {
    const { namespace } = this.#template;
    return call(
      'kubectl',
      [...args, ...(namespace === undefined ? [] : [`--namespace=${namespace}`])],
      input,
    );
  }
}

interface JobStatus {
  readonly active?: number;
  readonly ready?: number;
  readonly succeeded?: number;
  readonly failed?: number;
  readonly conditions?: readonly { readonly type: string; readonly status: string }[];
}

/** `rp-incident-4711-8c330229-…` of the job `rp-incident-4711-…-l0` */
function selectionOf({ name }: Pick<ArrayJob, 'name'>): string {
  return name.replace(/-[lj]\d+$/, '');
}

function labelsOf(job: Pick<ArrayJob, 'name'>): Record<string, string> {
  return { 'app.kubernetes.io/name': 'restore-plan', 'app.kubernetes.io/instance': selectionOf(job) };
}

/** Keys of a ConfigMap hold no `/`. */
function keyOf(index: number): string {
  return `file-${index}`;
}

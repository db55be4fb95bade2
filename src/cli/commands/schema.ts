/** `plan schema`: the JSON Schema of plan files, for editors and checks outside this program. */

import { schemaText } from '../../plan/schema-file.ts';
import type { CommandContext } from '../context.ts';
import { show } from '../view.ts';

export async function run(context: CommandContext): Promise<void> {
  const text = schemaText();
  await show(context, {
    page: () => text,
    objects: () => [{ type: 'schema', schema: JSON.parse(text) }],
  });
}

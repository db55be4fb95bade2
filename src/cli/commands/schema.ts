/** `plan schema`: the JSON Schema of plan files, for editors and checks outside this program. */
import { schemaText } from '../../plan/schema-file.ts';
import type { CommandContext } from '../context.ts';

export async function run(context: CommandContext): Promise<void> {
  const text = schemaText();
  if (context.options.json) context.json({ type: 'schema', schema: JSON.parse(text) });
  else context.stdout.write(text);
}

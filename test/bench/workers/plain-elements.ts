/** Reads a file of BSON documents and looks at the header of each element of the first level, and prints what that took. */
import { createReadStream } from 'node:fs';
import { DocumentFramer } from '../../../src/backup/readers/member.ts';
import { valueEnd } from '../../../src/bson/elements.ts';

const framer = new DocumentFramer();
const started = performance.now();
let elements = 0;
for await (const chunk of createReadStream(process.argv[2] as string, { highWaterMark: 1 << 20 }))
  for (const { bytes, starts, count } of framer.push(chunk as Buffer))
    for (let i = 0; i < count; i++) {
      const last = (starts[i + 1] as number) - 1;
      for (let at = (starts[i] as number) + 4; at < last; elements++) {
        let value = at + 1;
        while (bytes[value] !== 0) value++;
        at = valueEnd(bytes, bytes[at] as number, value + 1, last);
      }
    }
process.stdout.write(JSON.stringify({ ms: performance.now() - started, elements }));

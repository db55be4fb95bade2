/**
 * Speaks to a mongod in raw BSON (OP_MSG), so that neither questions nor answers pass through a driver that would decode,
 * reorder or drop something. For a server without access control, one command at a time in order.
 */
import { connect, type Socket } from 'node:net';
import { DocumentBuilder } from '../../src/bson/document-builder.ts';
import { elements, findElement, keyOf } from '../../src/bson/elements.ts';
import { BSON, type RawValue } from '../../src/bson/types.ts';

const OP_MSG = 2013;
const HEADER_BYTES = 16;

export class RawConnection {
  private readonly socket: Socket;
  private readonly waiting: { resolve(reply: Buffer): void; reject(error: Error): void }[] = [];
  private chunks: Buffer[] = [];
  private buffered = 0;
  private requestId = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('close', () => {
      for (const { reject } of this.waiting.splice(0)) reject(new Error('the server closed the connection'));
    });
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = connect(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.setNoDelay(true);
    return new RawConnection(socket);
  }

  close(): void {
    this.socket.destroy();
  }

  /** Sends a command document and resolves to the reply document, whatever it says. */
  send(command: Buffer): Promise<Buffer> {
    const head = Buffer.alloc(HEADER_BYTES + 5);
    head.writeInt32LE(head.length + command.length, 0);
    head.writeInt32LE(++this.requestId, 4);
    head.writeInt32LE(OP_MSG, 12);
    this.socket.write(Buffer.concat([head, command]));
    return new Promise((resolve, reject) => this.waiting.push({ resolve, reject }));
  }

  private receive(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.buffered += chunk.length;
    if (this.buffered < 4) return;
    let bytes = Buffer.concat(this.chunks);
    while (bytes.length >= 4 && bytes.length >= bytes.readInt32LE(0)) {
      const length = bytes.readInt32LE(0);
      this.waiting.shift()?.resolve(Buffer.from(bytes.subarray(HEADER_BYTES + 5, length)));
      bytes = bytes.subarray(length);
    }
    this.chunks = [bytes];
    this.buffered = bytes.length;
  }
}

/** What a command is made of: numbers become int32, Buffers documents, lists of Buffers arrays of documents. */
export type CommandPart = string | number | boolean | Buffer | readonly Buffer[] | RawValue;

/** A command document; the first part names the command. */
export function command(parts: Readonly<Record<string, CommandPart>>): Buffer {
  const builder = new DocumentBuilder();
  const start = builder.beginDocument();
  for (const [key, part] of Object.entries(parts)) writePart(builder, key, part);
  builder.endDocument(start);
  return builder.finish();
}

function writePart(builder: DocumentBuilder, key: string, part: CommandPart): void {
  if (typeof part === 'string') {
    builder.element(BSON.STRING, key);
    builder.string(part);
  } else if (typeof part === 'number') {
    builder.element(BSON.INT32, key);
    builder.int32(part);
  } else if (typeof part === 'boolean') {
    builder.element(BSON.BOOL, key);
    builder.byte(part ? 1 : 0);
  } else if (Buffer.isBuffer(part)) {
    builder.element(BSON.OBJECT, key);
    builder.raw(part);
  } else if (Array.isArray(part)) {
    builder.element(BSON.ARRAY, key);
    const start = builder.beginDocument();
    for (const [index, document] of part.entries()) writePart(builder, String(index), document);
    builder.endDocument(start);
  } else {
    const value = part as RawValue;
    builder.element(value.type, key);
    builder.raw(value.bytes.subarray(value.start, value.end));
  }
}

/** The message of a failed command, or of its first write error; undefined when all went well. */
export function failureOf(reply: Buffer): string | undefined {
  const message = findElement(reply, 0, Buffer.from('errmsg'));
  if (message !== undefined) return text(message);
  const writeErrors = findElement(reply, 0, Buffer.from('writeErrors'));
  if (writeErrors === undefined) return undefined;
  const first = [...elements(writeErrors.bytes, writeErrors.start)][0] as RawValue;
  return text(findElement(reply, first.start, Buffer.from('errmsg')) as RawValue);
}

/** The documents of a cursor reply's first batch. */
export function firstBatch(reply: Buffer): Buffer[] {
  const cursor = findElement(reply, 0, Buffer.from('cursor'));
  if (cursor === undefined) throw new Error(`not a cursor: ${failureOf(reply)}`);
  const batch = [...elements(reply, cursor.start)].find((element) => keyOf(element) === 'firstBatch');
  if (batch === undefined) throw new Error('a cursor without a first batch');
  return [...elements(reply, batch.start)].map((element) => reply.subarray(element.start, element.end));
}

function text(value: RawValue): string {
  return value.bytes.toString('utf8', value.start + 4, value.end - 1);
}

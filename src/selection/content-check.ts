/**
 * Whether bytes are those of a SHA-256, however often they are read again: those of a selected collection are read two to four times.
 *
 * The first time SHA-256 says so. Bytes that were right are then known again by a MAC (AES-256-GMAC): it costs a tenth of the time, and
 * under a key that never leaves this process nobody can make other bytes with the same one.
 */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';

interface Mac {
  readonly nonce: Buffer;
  readonly tag: Buffer;
}

const KEY = randomBytes(32);

/** Of bytes that were right once, by their SHA-256: some 200 bytes for each collection that was read. */
const known = new Map<string, Mac>();

export class ContentCheck {
  readonly #wanted: string;
  readonly #known: Mac | undefined;
  readonly #nonce: Buffer;
  readonly #mac;
  readonly #sha256;

  /** `wanted`: SHA-256, hex. */
  constructor(wanted: string) {
    this.#wanted = wanted;
    this.#known = known.get(wanted);
    this.#nonce = this.#known?.nonce ?? randomBytes(12);
    this.#mac = createCipheriv('aes-256-gcm', KEY, this.#nonce);
    this.#sha256 = this.#known === undefined ? createHash('sha256') : undefined;
  }

  /** To be called with all bytes, in order. */
  update(bytes: Buffer): void {
    this.#mac.setAAD(bytes); // authenticated, and not encrypted
    this.#sha256?.update(bytes);
  }

  /** Whether they were the very ones; to be called once. */
  isRight(): boolean {
    this.#mac.final();
    const tag = this.#mac.getAuthTag();
    if (this.#known !== undefined) return tag.equals(this.#known.tag);
    if (this.#sha256?.digest('hex') !== this.#wanted) return false;
    known.set(this.#wanted, { nonce: this.#nonce, tag });
    return true;
  }
}

/**
 * Very many paths: their bytes one after the other, without an object each, and the folder of those that follow each other once. A million
 * with names of 40 characters take 50 MB.
 */

const PAGE_BYTES = 1024 * 1024;
/** Of a text: its length, then its UTF-8 bytes. */
const LENGTH_BYTES = 2;
const MOST_BYTES = (1 << (8 * LENGTH_BYTES)) - 1;
const FIRST_PLACES = 1024;

export class PathList {
  length = 0;
  readonly #pages: Buffer[] = [];
  /** First free byte of the last page. */
  #end = PAGE_BYTES;
  /** Of each path: where its folder and its name lie, a page and a place there together. */
  #folders: Uint32Array = new Uint32Array(FIRST_PLACES);
  #names: Uint32Array = new Uint32Array(FIRST_PLACES);
  /** Of the path that was added last. */
  #folder: { readonly path: string; readonly place: number } | undefined;

  /** Throws RangeError for a folder or a name of 64 kB. */
  add(path: string): void {
    const nameAt = path.lastIndexOf('/') + 1;
    if (this.#folder?.path.length !== nameAt || !path.startsWith(this.#folder.path)) {
      const folder = path.slice(0, nameAt);
      this.#folder = { path: folder, place: this.#write(folder) };
    }
    if (this.length === this.#names.length) {
      this.#folders = grown(this.#folders);
      this.#names = grown(this.#names);
    }
    this.#folders[this.length] = this.#folder.place;
    this.#names[this.length] = this.#write(path.slice(nameAt));
    this.length++;
  }

  /** Takes back all that came after the first `length`. */
  cutTo(length: number): void {
    this.length = Math.min(this.length, length);
  }

  /** Undefined beyond the last. */
  at(index: number): string | undefined {
    if (index >= this.length) return undefined;
    return `${this.#text(this.#folders, index)}${this.#text(this.#names, index)}`;
  }

  /** As `sort` wants it. */
  compare(a: number, b: number): number {
    if (this.#folders[a] === this.#folders[b])
      return this.#text(this.#names, a).compare(this.#text(this.#names, b));
    return Buffer.from(this.at(a) ?? '').compare(Buffer.from(this.at(b) ?? ''));
  }

  #write(text: string): number {
    const bytes = Buffer.byteLength(text);
    if (bytes > MOST_BYTES) throw new RangeError('a path with a part of 64 kB');
    if (this.#end + LENGTH_BYTES + bytes > PAGE_BYTES) {
      this.#pages.push(Buffer.allocUnsafeSlow(PAGE_BYTES));
      this.#end = 0;
    }
    const page = this.#pages.at(-1) as Buffer;
    const place = (this.#pages.length - 1) * PAGE_BYTES + this.#end;
    page.writeUInt16LE(bytes, this.#end);
    page.write(text, this.#end + LENGTH_BYTES);
    this.#end += LENGTH_BYTES + bytes;
    return place;
  }

  #text(places: Uint32Array, index: number): Buffer {
    const place = places[index] as number;
    const page = this.#pages[Math.floor(place / PAGE_BYTES)] as Buffer;
    const start = (place % PAGE_BYTES) + LENGTH_BYTES;
    return page.subarray(start, start + page.readUInt16LE(start - LENGTH_BYTES));
  }
}

function grown(places: Uint32Array): Uint32Array {
  const more = new Uint32Array(2 * places.length);
  more.set(places);
  return more;
}

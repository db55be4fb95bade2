/** Every UTF-16 unit of a text as `\uXXXX`, the way JSON and JavaScript write it. */
export function unicodeEscape(characters: string): string {
  let escaped = '';
  for (let i = 0; i < characters.length; i++) {
    escaped += `\\u${characters.charCodeAt(i).toString(16).padStart(4, '0')}`;
  }
  return escaped;
}

/**
 * Questions on which engine and server once disagreed, each shrunken to one document. differential.test.ts asks both again.
 */
export interface Regression {
  readonly about: string;
  /** Extended JSON; `_id` is 0. */
  readonly document: string;
  readonly query: string;
  readonly selected: boolean;
}

export const REGRESSIONS: readonly Regression[] = [
  {
    about: 'a list finds code with scope whose numbers are equal in another type',
    document: '{"_id":0,"a":{"$code":"f","$scope":{"x":1.0}}}',
    query: '{"a":{"$in":[{"$code":"f","$scope":{"x":1}}]}}',
    selected: true,
  },
  {
    about: '\\w does not take in the letters that fold into ASCII, even without regard to case',
    document: '{"_id":0,"a":"\\u212a"}',
    query: '{"a":{"$regex":"^\\\\w$","$options":"i"}}',
    selected: false,
  },
  {
    about: '\\w still takes in k without regard to case',
    document: '{"_id":0,"a":"k"}',
    query: '{"a":{"$regex":"^\\\\w$","$options":"i"}}',
    selected: true,
  },
  {
    about: 'a k without regard to case is also the Kelvin sign',
    document: '{"_id":0,"a":"\\u212a"}',
    query: '{"a":{"$regex":"^k$","$options":"i"}}',
    selected: true,
  },
  {
    about: 'an empty match is not looked for inside a surrogate pair',
    document: '{"_id":0,"a":"x\\ud83d\\ude00y"}',
    query: '{"a":{"$regex":"\\\\B"}}',
    selected: false,
  },
  {
    about: 'text that is not UTF-8 is not matched, though its replacement character would be',
    document: '{"_id":0,"a":"\\ufffd"}',
    query: '{"a":{"$regex":"^.$"}}',
    selected: true,
  },
];

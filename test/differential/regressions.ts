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
  {
    about: 'a sum keeps the int64 that its first constants come to',
    document: '{"_id":0,"a":0}',
    query: '{"$expr":{"$eq":[{"$type":{"$add":[2147483647,1,"$a",-2147483648]}},"long"]}}',
    selected: true,
  },
  {
    about: 'a sum of int32s is one again, whatever constants come later',
    document: '{"_id":0,"a":0}',
    query: '{"$expr":{"$eq":[{"$type":{"$add":["$a",2147483647,1,-2147483648]}},"int"]}}',
    selected: true,
  },
  {
    about: 'the first constants of a product are multiplied exactly, before a document is read',
    document: '{"_id":0,"a":2147483647}',
    query:
      '{"$expr":{"$eq":[{"$multiply":[7,{"$numberLong":"9007199254740993"},"$a"]},135399691733788090000000000.0]}}',
    selected: true,
  },
  {
    about: 'milliseconds between dates half a million years apart are counted exactly',
    document:
      '{"_id":0,"a":{"$date":{"$numberLong":"8000000000000000"}},"b":{"$date":{"$numberLong":"-6222183838486671"}}}',
    query:
      '{"$expr":{"$eq":[{"$dateDiff":{"startDate":"$a","endDate":"$b","unit":"millisecond"}},{"$numberLong":"-14222183838486671"}]}}',
    selected: true,
  },
  {
    about: 'a constant null as the start of the week makes any difference null',
    document: '{"_id":0,"a":{"$date":0}}',
    query:
      '{"$expr":{"$eq":[{"$dateDiff":{"startDate":"$a","endDate":"$a","unit":"day","startOfWeek":null}},null]}}',
    selected: true,
  },
  {
    about: 'patternProperties sees the bytes of a name: é is two',
    document: '{"_id":0,"é":1}',
    query: '{"$jsonSchema":{"patternProperties":{"^..$":{"bsonType":"string"}}}}',
    selected: false,
  },
  {
    about: 'patternProperties knows no case beyond ASCII',
    document: '{"_id":0,"É":1}',
    query: '{"$jsonSchema":{"patternProperties":{"(?i)é":{"bsonType":"string"}}}}',
    selected: true,
  },
  {
    about: 'pattern sees characters, unlike patternProperties',
    document: '{"_id":0,"a":"É"}',
    query: '{"$jsonSchema":{"properties":{"a":{"pattern":"(?i)^é$"}}}}',
    selected: true,
  },
  {
    about: 'of the namespace of a DBPointer expressions compare the length',
    document: '{"_id":0,"a":{"$dbPointer":{"$ref":"b","$id":{"$oid":"57d17993a09a6759d8000d9e"}}}}',
    query: '{"$expr":{"$eq":["$a",{"$dbPointer":{"$ref":"a","$id":{"$oid":"57d17993a09a6759d8000d9e"}}}]}}',
    selected: true,
  },
  {
    about: 'the parts of a reference are fields of a query',
    document: '{"_id":0,"a":{"$ref":"b","$id":5,"$db":"c"}}',
    query: '{"a.$id":5,"a.$ref":"b","a.$db":{"$in":["c"]}}',
    selected: true,
  },
  {
    about: 'the parts of a reference are fields of an expression',
    document: '{"_id":0,"a":{"$ref":"b","$id":5,"$db":"c"}}',
    query: '{"$expr":{"$and":[{"$eq":["$a.$id",5]},{"$eq":["$a.$ref","b"]},{"$eq":["$a.$db","c"]}]}}',
    selected: true,
  },
  {
    about: 'a reference to another collection is another value',
    document: '{"_id":0,"a":{"$ref":"b","$id":5,"$db":"c"}}',
    query: '{"a.$id":5,"a.$ref":"c"}',
    selected: false,
  },
];

/** `$expr`: what is refused by name, when the query is compiled or when a document is to blame. */
import * as assert from 'uvu/assert';
import { parseExtendedJson } from '../../src/bson/extended-json.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { compileQuery, type Matcher } from '../../src/query/compile-query.ts';
import { parseQuery } from '../../src/query/parse-query.ts';
import { QueryFault } from '../../src/query/query-fault.ts';
import { test } from '../harness.ts';

const document = (text: string): Buffer => writeExtendedJson(parseExtendedJson(text));
const query = (text: string): Matcher => compileQuery(parseQuery(parseExtendedJson(text)));

const CASES: readonly (readonly [string, string, boolean])[] = [
  ['{"$gt":["$spent","$budget"]}', '{"spent":5,"budget":4}', true],
  ['{"$eq":["$a",[1,2]]}', '{"a":[1,2.0]}', true],
  ['{"$eq":["$a",1]}', '{"a":[1]}', false],
  ['{"$eq":["$a.b",[1,2]]}', '{"a":[{"b":1},{"c":0},{"b":2}]}', true],
  ['{"$lt":["$missing",null]}', '{}', true],
  ['{"$eq":[{"$year":"$at"},2016]}', '{"at":{"$date":"2016-12-31T23:30:00Z"}}', true],
  [
    '{"$eq":[{"$year":{"date":"$at","timezone":"+01:00"}},2017]}',
    '{"at":{"$date":"2016-12-31T23:30:00Z"}}',
    true,
  ],
  [
    '{"$gt":[{"$subtract":["$b","$a"]},86400000]}',
    '{"a":{"$date":"2016-09-13T00:00:00Z"},"b":{"$date":"2016-09-15T00:00:00Z"}}',
    true,
  ],
  [
    '{"$eq":[{"$subtract":["$b","$a"]},-9223372036854775808]}',
    '{"a":{"$date":-1},"b":{"$date":{"$numberLong":"9223372036854775807"}}}',
    true,
  ],
  ['{"$eq":[{"$type":{"$add":["$a",1,-1]}},"int"]}', '{"a":2147483647}', true],
  ['{"$in":["$a",["x","y"]]}', '{"a":"y"}', true],
  ['{"$or":[{"$add":["$a",1]},true]}', '{"a":"x"}', true],
  ['{"$and":[{"$add":["$a",1]},0]}', '{"a":"x"}', false],
  ['{"$cond":[1,{"$eq":["$a","x"]},{"$add":["$a",1]}]}', '{"a":"x"}', true],
  ['{"$switch":{"branches":[{"case":0,"then":0},{"case":1,"then":"$a"}]}}', '{"a":"x"}', true],
];

for (const [expression, text, selected] of CASES) {
  test(`$expr ${expression} ${selected ? 'selects' : 'leaves out'} ${text}`, () => {
    assert.is(query(`{"$expr":${expression}}`)(document(text), 0), selected);
  });
}

function faultOf(run: () => unknown): QueryFault {
  try {
    run();
  } catch (fault) {
    assert.instance(fault, QueryFault);
    return fault as QueryFault;
  }
  return assert.unreachable('should have been refused') as never;
}

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  [
    '{"$expr":{"$function":{}}}',
    '$expr',
    /\$function is not supported here: it runs JavaScript.*supported are \$eq/,
  ],
  ['{"$expr":{"$gt":["$a"]}}', '$expr.$gt', /takes 2 arguments, not 1/],
  ['{"$expr":{"$divide":[1,0]}}', '$expr.$divide', /by zero/],
  [
    '{"$expr":{"$or":[true,{"$switch":{"branches":[{"case":false,"then":"$a"}]}}]}}',
    '$expr.$or.1.$switch',
    /no branch holds/,
  ],
  ['{"$expr":{"$concat":["$a",5,"x"]}}', '$expr.$concat', /needs text/],
  ['{"$expr":{"$size":{"$cond":[true,5,"$a"]}}}', '$expr.$size', /needs an array/],
  ['{"$expr":{"$size":{"$ifNull":[null,5,"$a"]}}}', '$expr.$size', /needs an array/],
  ['{"$expr":{"$size":{"$switch":{"branches":[{"case":true,"then":5}]}}}}', '$expr.$size', /needs an array/],
  ['{"$expr":{"$gt":["$$NOW","$a"]}}', '$expr.$gt.0', /\$\$NOW is not supported here/],
  ['{"$expr":{"$eq":["$a..b",1]}}', '$expr.$eq.0', /is no field/],
  ['{"$expr":{"$eq":[1,1],"$ne":[1,2]}}', '$expr', /one operator/],
  [
    '{"$expr":{"$year":{"date":"$a","timezone":"Europe/Berlin"}}}',
    '$expr.$year',
    /a timezone is written as an offset such as "\+02:00" here/,
  ],
  [
    '{"$expr":{"$dateAdd":{"startDate":"$a","unit":"day","amount":1,"timezone":"+02:00"}}}',
    '$expr.$dateAdd',
    /\$dateAdd with a timezone is not supported/,
  ],
  [
    '{"$expr":{"$dateDiff":{"startDate":"$a","endDate":"$b","unit":"days"}}}',
    '$expr.$dateDiff',
    /"unit" is no unit of time/,
  ],
  ['{"a":{"$elemMatch":{"$expr":true}}}', 'a.$elemMatch.$expr', /whole document/],
];

for (const [text, path, message] of REFUSED) {
  test(`refuses ${text}`, () => {
    const fault = faultOf(() => query(text));
    assert.is(fault.path, path);
    assert.match(fault.message, message);
  });
}

const REFUSED_WITH_DOCUMENT: readonly (readonly [string, string, RegExp])[] = [
  ['{"$add":["$a",1]}', '{"a":"x"}', /needs numbers and a document holds string/],
  ['{"$eq":["$a",1]}', '{"a":1,"a":2}', /holds "a" twice/],
  ['{"$year":"$at"}', '{"at":5}', /needs a date and a document holds int/],
  ['{"$hour":{"date":"$at","timezone":"$none"}}', '{"at":5}', /\$hour needs a date and a document holds int/],
  [
    '{"$dateAdd":{"startDate":"$at","unit":"$unit","amount":"$none"}}',
    '{"at":{"$date":0},"unit":"days"}',
    /"unit" is no unit of time/,
  ],
  [
    '{"$year":{"date":"$at","timezone":"+01:00"}}',
    '{"at":{"$date":{"$numberLong":"8640000000000000"}}}',
    /\$year: a document holds a date beyond the year 275000/,
  ],
  [
    '{"$dayOfYear":"$at"}',
    '{"at":{"$date":{"$numberLong":"-8640000000000000"}}}',
    /\$dayOfYear: a document holds a date beyond the year 275000/,
  ],
  [
    '{"$dateDiff":{"startDate":"$at","endDate":"$at","unit":"month","timezone":"-01:00"}}',
    '{"at":{"$date":{"$numberLong":"-8640000000000000"}}}',
    /\$dateDiff: a document holds a date beyond the year 275000/,
  ],
  [
    '{"$add":["$at",9.3e18]}',
    '{"at":{"$date":{"$numberLong":"-9223372036854775808"}}}',
    /\$add leaves the range of dates/,
  ],
  ['{"$in":[1,"$a"]}', '{}', /needs an array and a document holds missing/],
];

for (const [expression, text, message] of REFUSED_WITH_DOCUMENT) {
  test(`$expr ${expression} ends at ${text} instead of leaving it out`, () => {
    const matches = query(`{"$expr":${expression}}`);
    assert.match(faultOf(() => matches(document(text), 0)).message, message);
  });
}

test.run();

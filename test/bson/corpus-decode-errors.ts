/**
 * The 75 decode errors of MongoDB's BSON corpus (specification "BSON corpus", `decodeErrors` of all files), as hexadecimal bytes.
 *
 * The corpus gives the same bytes of type string for its string, code and symbol files; here each has the type it is about.
 * `server` is what MongoDB 8.2 does with a raw insert of the bytes; check-document.test.ts holds it to that.
 */
export interface CorpusCase {
  readonly about: string;
  readonly hex: string;
  /** accepts: stored as it is, so a backup may hold it and it must pass through unharmed. */
  readonly server: 'refuses' | 'accepts';
}

const refused = (about: string, hex: string): CorpusCase => ({ about, hex, server: 'refuses' });
const accepted = (about: string, hex: string): CorpusCase => ({ about, hex, server: 'accepts' });

/** The seven cases that string, code and symbol share. */
function textCases(name: string, type: string): CorpusCase[] {
  return [
    refused(`${name}: bad length 0, and no 0x00 either`, `0C000000${type}61000000000000`),
    refused(`${name}: bad length -1`, `0C000000${type}6100FFFFFFFF00`),
    refused(`${name}: bad length, eats terminator`, `10000000${type}6100050000006200620000`),
    refused(`${name}: bad length, longer than rest of document`, `12000000${type}00FFFFFF00666F6F6261720000`),
    refused(`${name}: not null-terminated`, `10000000${type}610004000000616263FF00`),
    refused(`${name}: empty, but extra null`, `0E000000${type}610001000000000000`),
    accepted(`${name}: invalid UTF-8`, `0E000000${type}610002000000E90000`),
  ];
}

export const CORPUS_DECODE_ERRORS: readonly CorpusCase[] = [
  refused('top: size too small to include the size', '0100000000'),
  refused('top: size only enough for the size', '0400000000'),
  refused('top: missing terminator', '05000000'),
  refused('top: terminator is 0x01', '0500000001'),
  refused('top: terminator is 0xff', '05000000FF'),
  refused('top: terminator is 0x70', '0500000070'),
  refused('top: byte count is zero', '00000000000000000000'),
  refused('top: length exceeds bytes, truncated document', '1200000002666F6F0004000000626172'),
  refused('top: garbage after envelope', '1200000002666F6F00040000006261720000DEADBEEF'),
  refused('top: length exceeds bytes, valid envelope', '1300000002666F6F00040000006261720000'),
  refused('top: length less than bytes, valid envelope', '1100000002666F6F00040000006261720000'),
  refused('top: invalid type, low range', '07000000000000'),
  refused('top: invalid type, high range', '07000000800000'),
  refused('top: truncated mid-key', '1200000002666F'),
  refused('top: null byte in key', '0D000000107800000100000000'),
  refused('array: length too long, eats outer terminator', '140000000461000D0000001030000A0000000000'),
  refused('array: length too short, leaks terminator', '140000000461000B0000001030000A0000000000'),
  refused('array: bad string length in field', '1A00000004666F6F00100000000230000500000062617A000000'),
  refused(
    'binary: length longer than document',
    '1D000000057800FF0000000573FFD26444B34C6990E8E7D1DFC035D400',
  ),
  refused('binary: negative length', '0D000000057800FFFFFFFF0000'),
  accepted('binary: subtype 0x02 length too long', '13000000057800060000000203000000FFFF00'),
  accepted('binary: subtype 0x02 length too short', '13000000057800060000000201000000FFFF00'),
  accepted('binary: subtype 0x02 length negative one', '130000000578000600000002FFFFFFFFFFFF00'),
  refused('boolean: value of 2', '090000000862000200'),
  refused('boolean: value of -1', '09000000086200FF00'),
  ...textCases('code', '0D'),
  ...[
    ['field length zero', '280000000F6100000000000500000061626364001300000010780001000000107900010000000000'],
    [
      'field length negative',
      '280000000F6100FFFFFFFF0500000061626364001300000010780001000000107900010000000000',
    ],
    ['field length less than minimum', '160000000F61000D0000000100000000050000000000'],
    [
      'field length truncates scope',
      '280000000F61001F0000000500000061626364001300000010780001000000107900010000000000',
    ],
    [
      'field length clips outer document',
      '280000000F6100210000000500000061626364001300000010780001000000107900010000000000',
    ],
    [
      'field length longer than outer document',
      '280000000F6100FF0000000500000061626364001300000010780001000000107900010000000000',
    ],
    [
      'code length too short',
      '280000000F6100200000000400000061626364001300000010780001000000107900010000000000',
    ],
    [
      'code length clips scope',
      '280000000F6100200000000600000061626364001300000010780001000000107900010000000000',
    ],
    [
      'code length negative',
      '280000000F610020000000FFFFFFFF61626364001300000010780001000000107900010000000000',
    ],
    [
      'code length longer than field',
      '280000000F610020000000FF00000061626364001300000010780001000000107900010000000000',
    ],
    ['bad string length in scope', '1C0000000F001500000001000000000C000000020000000000000000'],
  ].map(([about, hex]) => refused(`code with scope: ${about}`, hex as string)),
  refused('date: truncated', '0C0000000961001234567800'),
  refused('DBPointer: string with negative length', '1A0000000C6100FFFFFFFF620056E1FC72E0C917E9C471416100'),
  refused('DBPointer: string with zero length', '1A0000000C610000000000620056E1FC72E0C917E9C471416100'),
  refused('DBPointer: string not null-terminated', '1A0000000C610002000000626256E1FC72E0C917E9C471416100'),
  refused('DBPointer: id less than minimum', '160000000C61000300000061620056E1FC72E0C91700'),
  refused('DBPointer: id truncated', '1A0000000C61000300000061620056E1FC72E0C917E9C4716100'),
  accepted('DBPointer: string with bad UTF-8', '1A0000000C610002000000E90056E1FC72E0C917E9C471416100'),
  refused('document: length eats outer terminator', '1800000003666F6F000F0000001062617200FFFFFF7F0000'),
  refused('document: length leaks terminator', '1500000003666F6F000A0000000862617200010000'),
  refused('document: bad string length in field', '1C00000003666F6F001200000002626172000500000062617A000000'),
  refused('document: null byte in key', '150000000378000D00000010610000010000000000'),
  refused('double: truncated', '0B0000000164000000F03F00'),
  refused('int32: bad field length', '090000001061000500'),
  refused('int64: truncated', '0C0000001261001234567800'),
  refused('ObjectId: truncated', '1200000007610056E1FC72E0C917E9C471'),
  refused('regular expression: null byte in pattern', '0F0000000B610061006300696D0000'),
  refused('regular expression: null byte in options', '100000000B61006162630069006D0000'),
  ...textCases('string', '02'),
  ...textCases('symbol', '0E'),
  refused('timestamp: truncated', '0f0000001161002A00000015CD5B00'),
];

/**
 * Bits: `$bitsAllSet`, `$bitsAllClear`, `$bitsAnySet`, `$bitsAnyClear`.
 *
 * The mask is a number, binary data or a list of positions. Numbers are tested as 64-bit two's complement, so every
 * position from 63 on is the sign; binary data goes on with zeros.
 */
import { elements } from '../../bson/elements.ts';
import { exactInteger, isNumber } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import type { ValueTest } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';
import { comparesNoText, type FieldOperator } from './operator.ts';

type BitOperator = '$bitsAllSet' | '$bitsAllClear' | '$bitsAnySet' | '$bitsAnyClear';

const bits: FieldOperator = {
  isDocument: false,
  compile: ({ combine, operator, operand, path }) =>
    combine.leaf(bitsTest(operator as BitOperator, operand, path)),
  comparesText: comparesNoText,
};

export const BITWISE: Readonly<Record<BitOperator, FieldOperator>> = {
  $bitsAllSet: bits,
  $bitsAllClear: bits,
  $bitsAnySet: bits,
  $bitsAnyClear: bits,
};

interface BitMask {
  readonly positions: readonly number[];
  /** The same for numbers: 64 bits without sign. */
  readonly word: bigint;
}

function bitsTest(operator: BitOperator, operand: RawValue, path: string): ValueTest {
  const { positions, word } = readMask(operator, operand, path);
  const wanted = operator.endsWith('Set');
  const isAll = operator.startsWith('$bitsAll');
  return (value) => {
    if (value.type === BSON.BINARY) {
      const isWanted = (position: number): boolean => bitOf(value, position) === wanted;
      return isAll ? positions.every(isWanted) : positions.some(isWanted);
    }
    const integer = isNumber(value.type) ? exactInteger(value) : undefined;
    if (integer === undefined) return false;
    const hits = BigInt.asUintN(64, wanted ? integer : ~integer) & word;
    return isAll ? hits === word : hits !== 0n;
  };
}

function bitOf({ bytes, start, end }: RawValue, position: number): boolean {
  const at = start + 5 + (position >>> 3);
  return at < end && ((bytes[at] as number) & (1 << (position & 7))) !== 0;
}

function readMask(operator: BitOperator, operand: RawValue, path: string): BitMask {
  if (operand.type === BSON.ARRAY) {
    return maskOfPositions(
      [...elements(operand.bytes, operand.start)].map((item) => readPosition(operator, item, path)),
    );
  }
  if (operand.type === BSON.BINARY) return maskOfBinary(operator, operand, path);
  const word = exactInteger(operand);
  if (word === undefined || word < 0n) {
    throw new QueryFault(
      `${operator} expects positions, binary data or an integer that is not negative`,
      path,
    );
  }
  return { positions: positionsIn(word), word };
}

function readPosition(operator: BitOperator, item: RawValue, path: string): number {
  const position = Number(exactInteger(item) ?? -1);
  if (position < 0 || position > 0x7fffffff) {
    throw new QueryFault(`${operator}: a position is an integer from 0 to 2147483647`, path);
  }
  return position;
}

function maskOfPositions(positions: readonly number[]): BitMask {
  let word = 0n;
  for (const position of positions) word |= 1n << BigInt(Math.min(position, 63));
  return { positions, word };
}

function maskOfBinary(operator: BitOperator, { bytes, start, end }: RawValue, path: string): BitMask {
  const positions: number[] = [];
  for (let at = start + 5; at < end; at++) {
    const byte = bytes[at] as number;
    // The server spreads the sign of such a byte over the rest of its mask, but only where it tests numbers.
    if (byte > 0x7f && at < start + 5 + 8) {
      throw new QueryFault(
        `${operator}: write positions where binary data has the highest bit of a byte set`,
        path,
      );
    }
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) positions.push((at - start - 5) * 8 + bit);
  }
  return maskOfPositions(positions);
}

function positionsIn(word: bigint): number[] {
  return Array.from({ length: 64 }, (_, position) => position).filter(
    (position) => (word >> BigInt(position)) & 1n,
  );
}

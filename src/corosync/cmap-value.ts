/** The typed values of cmap (corosync/cmap.h, cmap_value_types_t). */
import { CsError } from "./cs-error.ts";
import { CmapType } from "./layouts.ts";

/** A value. Integers are bigint: a number cannot hold all 64 bits. */
export type CmapValue =
  | { readonly kind: "integer"; readonly value: bigint }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "binary"; readonly value: Buffer };

type Reader = (bytes: Buffer) => bigint;

/** Integer types: size in bytes, and how the value is read. */
const INTEGERS = new Map<number, readonly [size: number, read: Reader]>([
  [CmapType.INT8, [1, (bytes) => BigInt(bytes.readInt8())]],
  [CmapType.UINT8, [1, (bytes) => BigInt(bytes.readUInt8())]],
  [CmapType.INT16, [2, (bytes) => BigInt(bytes.readInt16LE())]],
  [CmapType.UINT16, [2, (bytes) => BigInt(bytes.readUInt16LE())]],
  [CmapType.INT32, [4, (bytes) => BigInt(bytes.readInt32LE())]],
  [CmapType.UINT32, [4, (bytes) => BigInt(bytes.readUInt32LE())]],
  [CmapType.INT64, [8, (bytes) => bytes.readBigInt64LE()]],
  [CmapType.UINT64, [8, (bytes) => bytes.readBigUInt64LE()]],
]);

/** Decodes the bytes of one value; MESSAGE_ERROR for an unknown type or a wrong length. */
export function decodeValue(type: number, bytes: Buffer): CmapValue | CsError {
  const [size, read] = INTEGERS.get(type) ?? [];
  if (read !== undefined) {
    if (bytes.byteLength !== size) return CsError.MESSAGE_ERROR;
    return { kind: "integer", value: read(bytes) };
  }
  if (type === CmapType.FLOAT && bytes.byteLength === 4) {
    return { kind: "float", value: bytes.readFloatLE() };
  }
  if (type === CmapType.DOUBLE && bytes.byteLength === 8) {
    return { kind: "float", value: bytes.readDoubleLE() };
  }
  if (type === CmapType.BINARY) return { kind: "binary", value: Buffer.from(bytes) };
  if (type !== CmapType.STRING) return CsError.MESSAGE_ERROR;
  // The length may count a NUL, which ends the string in any case.
  const end = bytes.indexOf(0);
  return { kind: "string", value: bytes.toString("utf8", 0, end < 0 ? bytes.byteLength : end) };
}

/**
 * Encodes small images as PNG (ISO/IEC 15948) with a palette: a matrix of 300 x 300 cells is then one element of 100 kB in the page,
 * while 90,000 rectangles would slow browsers down.
 */
import { crc32, deflateSync } from "node:zlib";
import { KindredError } from "../../shared/base/errors.js";
import type { Rgb } from "./colours.js";

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/**
 * @param pixels row-major [height, width], indexes into the palette
 * @param palette 1 to 256 colours
 * @throws {KindredError} `shape_mismatch` when sizes do not fit
 */
export function encodePng(pixels: Uint8Array, width: number, palette: readonly Rgb[]): Buffer {
  const height = pixels.length / width;
  if (!Number.isInteger(height) || height < 1 || palette.length < 1 || palette.length > 256)
    throw new KindredError("shape_mismatch", `an image of ${pixels.length} pixels is not ${width} wide`);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 3, 0, 0, 0], 8); // 8 bits, palette, deflate, no prediction across rows, not interlaced
  const rows = Buffer.alloc(height * (width + 1));
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("PLTE", Uint8Array.from(palette.flat())),
    chunk("IDAT", deflateSync(rows, { level: 9 })),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

export function dataUri(png: Buffer): string {
  return `data:image/png;base64,${png.toString("base64")}`;
}

/**
 * Colour scales, interpolated in OKLab (Ottosson 2020) so that equal steps of a value look equal. It knows no values, only positions
 * 0..1 on a scale.
 */

export type Rgb = readonly [number, number, number];

/** Colours at even distances along a scale. */
export type Scale = readonly string[];

/** Low .. high, in ink: colours are for groups alone. Light themes darken, dark ones lighten. */
export const INK: { readonly light: Scale; readonly dark: Scale } = {
  light: ["#f7f6f2", "#c9c7bf", "#8b8982", "#4d4b46", "#16150f"],
  dark: ["#1c1c1a", "#474640", "#7d7b72", "#b9b7ac", "#f6f4ea"],
};

function parse(hex: string): Rgb {
  return [1, 3, 5].map((from) => Number.parseInt(hex.slice(from, from + 2), 16)) as unknown as Rgb;
}

function toLinear(channel: number): number {
  const x = channel / 255;
  return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
}

function toChannel(x: number): number {
  const y = x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055;
  return Math.round(Math.min(1, Math.max(0, y)) * 255);
}

function toOklab(rgb: Rgb): Rgb {
  const [r, g, b] = rgb.map(toLinear) as unknown as Rgb;
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab([lightness, a, b]: Rgb): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    toChannel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    toChannel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    toChannel(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

/** The scale's colour at `position`, clamped to 0..1. */
export function colourAt(scale: Scale, position: number): Rgb {
  const place = Math.min(1, Math.max(0, position)) * (scale.length - 1);
  const k = Math.min(scale.length - 2, Math.floor(place));
  const from = toOklab(parse(scale[k] ?? "#000000"));
  const to = toOklab(parse(scale[k + 1] ?? "#000000"));
  const t = place - k;
  return fromOklab([0, 1, 2].map((c) => (from[c] ?? 0) * (1 - t) + (to[c] ?? 0) * t) as unknown as Rgb);
}

/** `size` colours from one end of the scale to the other. @param size at least 2 */
export function paletteOf(scale: Scale, size: number): Rgb[] {
  return Array.from({ length: size }, (_, k) => colourAt(scale, k / (size - 1)));
}

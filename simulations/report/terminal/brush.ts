/** Colours and styles of the report in a terminal; none without colour. */
import { type Paint, sgr } from "../../../shared/base/terminal.js";
import type { MethodName } from "../types.js";

/** Orange (worse) over grey to blue (better), of the 256-colour cube. */
const HEAT = [208, 172, 130, 94, 237, 24, 25, 32, 39];

const METHOD_COLOURS: Readonly<Record<MethodName, number>> = {
  base: 245,
  shared: 208,
  local: 35,
  full: 133,
  kindred: 39,
};

/** Standardised values at which the next colour starts, on both sides of the middle one. */
export const HEAT_FROM = [0.5, 0.95, 1.4, 1.85];

export interface Brush {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly better: Paint;
  readonly worse: Paint;
  readonly method: (method: MethodName, text: string) => string;
  readonly heat: ((top: number | undefined, bottom: number | undefined) => string) | undefined;
}

export function brushOf(color: boolean): Brush {
  const same: Paint = (text) => text;
  if (!color) return { bold: same, dim: same, better: same, worse: same, method: (_, text) => text, heat: undefined };
  return {
    bold: sgr("1"),
    dim: sgr("2"),
    better: sgr("38;5;39"),
    worse: sgr("38;5;208"),
    method: (method, text) => sgr(`38;5;${METHOD_COLOURS[method]}`)(text),
    heat: (top, bottom) => {
      if (top === undefined && bottom === undefined) return " ";
      if (top === undefined) return sgr(`38;5;${heatColour(bottom ?? 0)}`)("▄");
      if (bottom === undefined) return sgr(`38;5;${heatColour(top)}`)("▀");
      return sgr(`38;5;${heatColour(top)};48;5;${heatColour(bottom)}`)("▀");
    },
  };
}

function heatColour(z: number): number {
  const steps = HEAT_FROM.filter((from) => Math.abs(z) >= from).length;
  return HEAT[HEAT_FROM.length + Math.sign(z) * steps] ?? 0;
}

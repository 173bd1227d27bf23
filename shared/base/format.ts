/** Numbers as text for pages and the terminal. A value that is not a finite number becomes a dash. */

const NOTHING = "–";
const MINUS = "−";

type Maybe = number | null | undefined;

function finite(value: Maybe): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** A fixed number of decimals, with a typographic minus sign and without a negative zero. */
export function fixed(value: Maybe, digits: number): string {
  if (!finite(value)) return NOTHING;
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** As `fixed`, with a plus sign where the value is above zero. */
export function signed(value: Maybe, digits: number): string {
  if (!finite(value)) return NOTHING;
  const text = fixed(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

/** 0.912 -> "91.2". */
export function percent(share: Maybe, digits = 1): string {
  return finite(share) ? fixed(share * 100, digits) : NOTHING;
}

/** Nats with three decimals, fewer for large values. */
export function loss(value: Maybe): string {
  return finite(value) ? fixed(value, Math.abs(value) >= 100 ? 1 : 3) : NOTHING;
}

/** Three significant digits without an exponent: 12.3, 4560, 0.00789. */
export function significant(value: Maybe, digits = 3): string {
  if (!finite(value)) return NOTHING;
  if (value === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  if (magnitude < -6 || magnitude > 14) return value.toExponential(digits - 1).replace("-", MINUS);
  return fixed(value, Math.min(12, Math.max(0, digits - 1 - magnitude)));
}

function scaled(value: Maybe, units: readonly string[]): string {
  if (!finite(value)) return NOTHING;
  let scale = 0;
  // 999.5 and above would print as 1000 of the smaller unit.
  while (Math.abs(value) >= 999.5 * 1000 ** scale && scale < units.length - 1) scale++;
  const digits = scale === 0 ? Math.max(1, Math.floor(Math.log10(Math.max(1, Math.abs(value)))) + 1) : 3;
  return `${significant(value / 1000 ** scale, digits)} ${units[scale]}`;
}

/** Bytes in decimal units. */
export function bytes(value: Maybe): string {
  return scaled(value, ["B", "kB", "MB", "GB", "TB", "PB"]);
}

export function flops(value: Maybe): string {
  return scaled(value, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"]);
}

export function count(value: Maybe): string {
  return finite(value) ? String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u202f") : NOTHING;
}

/** "34.2 s", "1 min 20 s", "2 h 05 min". @param digits decimals of seconds below a minute */
export function duration(seconds: Maybe, digits = 1): string {
  if (!finite(seconds)) return NOTHING;
  if (Number(seconds.toFixed(digits)) < 60) return `${fixed(seconds, digits)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Up to four significant digits without trailing zeros: 0.003, 12.4, 1500. */
export function plain(value: Maybe): string {
  if (!finite(value)) return NOTHING;
  return Number.isInteger(value)
    ? count(value)
    : significant(value, 4)
        .replace(/(\.\d*?)0+($|e)/, "$1$2")
        .replace(/\.($|e)/, "$1");
}

/** Labels of an axis, all with the decimals of the finest tick. @param ticks evenly spaced */
export function tickLabels(ticks: readonly number[]): string[] {
  const digits = Math.max(0, ...ticks.map((t) => (String(Number(t.toPrecision(10))).split(".")[1] ?? "").length));
  return ticks.map((t) => fixed(t, Math.min(6, digits)));
}

/** "1 client", "4 clients". */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

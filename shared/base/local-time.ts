/** Points in time as people at this machine read them. */

const two = (value: number): string => String(value).padStart(2, "0");

/** "23:54:32" by the clock of this machine. */
export const timeOfDay = (time: Date): string =>
  [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");

/** "2026-02-28 23:54:32" by the clock of this machine. @param at milliseconds since 1970 */
export function localTime(at: number): string {
  const time = new Date(at);
  return `${[time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-")} ${timeOfDay(time)}`;
}

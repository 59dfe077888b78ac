/** The digits of a TID, in the order of their code points. */
const DIGITS = "234567abcdefghijklmnopqrstuvwxyz";

/** The time of the last one, in microseconds since the Unix epoch. */
let last = 1_700_000_000_000_000;

/** A record key as repositories have them, above all before it. */
export function nextTid(): string {
  // The lowest ten bits are a clock's number.
  let rest = BigInt(++last) << 10n;
  let text = "";
  for (let i = 0; i < 13; i++) {
    text = DIGITS.charAt(Number(rest % 32n)) + text;
    rest /= 32n;
  }
  return text;
}

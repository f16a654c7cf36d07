// How numbers and verdicts are said.

const VERDICTS = {
  SURVIVED: { letter: "S", kind: "survived", scored: true, says: "every test passed on it" },
  KILLED: { letter: "k", kind: "killed", scored: true, says: "a test failed on it" },
  TIMEOUT: { letter: "t", kind: "died", scored: true, says: "no answer in time" },
  CRASHED: { letter: "c", kind: "died", scored: true, says: "its process died" },
  INVALID: { letter: "i", kind: "apart", scored: false, says: "the compiler refused it" },
  EQUIVALENT: { letter: "=", kind: "apart", scored: false, says: "the unmutated network's code" },
  DUPLICATE: { letter: "d", kind: "apart", scored: false, says: "another mutant's code" },
  SKIPPED: { letter: "s", kind: "apart", scored: false, says: "not run" },
};
const STAGES = ["graph", "kernel", "device", "weights"];

const verdictOf = (name) =>
  VERDICTS[name] ?? { letter: "?", kind: "apart", scored: false, says: "" };

const isDetected = (name) => verdictOf(name).scored && name !== "SURVIVED";

function chip(verdict, title) {
  const { letter, kind } = verdictOf(verdict);
  return h("span", { class: `chip ${kind}`, title: title ?? null }, h("b", null, letter), verdict);
}

const countOf = (number, noun) => `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;

const whole = (number) =>
  number === null || number === undefined ? "–" : number.toLocaleString("en");

const percent = (value, digits = 1) =>
  value === null || value === undefined ? "–" : `${value.toFixed(digits)} %`;

function figure(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (value && Math.abs(value) < 1e-3) {
    const [digit, exponent] = value.toExponential(digits - 1).split("e");
    return `${Number(digit)}e${exponent}`;
  }
  return String(Number(value.toPrecision(digits)));
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1e-3) return `${figure(1e6 * value, 3)} µs`;
  if (value < 1) return `${figure(1e3 * value, 3)} ms`;
  if (value < 120) return `${figure(value, 3)} s`;
  const minutes = Math.round(value / 60);
  return minutes < 120 ? `${minutes} min` : `${figure(value / 3600, 3)} h`;
}

const interval = (score) =>
  score.low === null ? "" : `95 %: ${score.low.toFixed(1)} to ${score.high.toFixed(1)}`;

const date = (text) =>
  String(text ?? "")
    .replace("T", " ")
    .replace("+00:00", " UTC");

// which of three things there is to mend
function why(there) {
  if (there.verdict !== "SURVIVED" || there.infected === null) return "";
  if (!there.infected) return "no input shows it";
  return there.propagated ? "the assertions allow it" : "the network masks it";
}

function whySentence(there) {
  switch (why(there)) {
    case "no input shows it":
      return "No input shows it: the changed code gives the same bits for all of them. The inputs are to be mended, if any input could show it.";
    case "the network masks it":
      return `The network masks it: a tensor inside changes for ${countOf(there.infected, "input")}, the output for none. Perhaps there is nothing to mend.`;
    case "the assertions allow it":
      return `The assertions allow it: the output changes for ${countOf(there.propagated, "input")}, the top-1 for ${whole(there.top1_changed)}, and no test minds. The assertions are to be mended.`;
    default:
      return "";
  }
}

// "0-3,7" as numbers; a list of names as it is
function inputNumbers(ranges) {
  if (Array.isArray(ranges)) return ranges;
  const found = [];
  for (const part of (ranges ?? "").split(",")) {
    if (!part) continue;
    const [from, to] = part.split("-").map(Number);
    for (let number = from; number <= (to ?? from); number++) found.push(number);
  }
  return found;
}

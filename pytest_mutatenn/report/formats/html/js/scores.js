// Scores with their intervals, as numbers and on a line from 0 to 100.

function scoreLine(score, required) {
  const at = (value) => `${value}%`;
  return h(
    "div",
    { class: "line", "aria-hidden": "true" },
    score.low === null
      ? null
      : h("span", { class: "band", vars: { from: at(score.low), to: at(100 - score.high) } }),
    score.score === null ? null : h("span", { class: "point", vars: { at: at(score.score) } }),
    required === undefined
      ? null
      : h("span", {
          class: "required",
          vars: { at: at(required) },
          title: `required ${required} %`,
        }),
  );
}

function scoreTable(title, parts, name, link) {
  const entries = Object.entries(parts);
  if (!entries.length) return null;
  const sampled = entries.some(([, score]) => score.low !== null);
  return h(
    "div",
    { class: "scores" },
    h("h3", null, title),
    table(
      ["", "#detected", "#survived", "#score", ...(sampled ? ["#95 % interval"] : []), ""],
      entries.map(([key, score]) => [
        link ? h("a", { href: link(key) }, name(key)) : name(key),
        whole(score.detected),
        whole(score.survived),
        percent(score.score),
        ...(sampled
          ? [score.low === null ? "–" : `${score.low.toFixed(1)} to ${score.high.toFixed(1)}`]
          : []),
        scoreLine(score),
      ]),
      { label: title, class: "scoretable" },
    ),
  );
}

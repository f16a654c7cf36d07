// Mutants on which the tests of the cells disagree, and why.

function divergentView(index) {
  const { divergent } = index.record;
  if (!divergent.length)
    return [
      section(
        "Divergent mutants",
        null,
        h(
          "p",
          { class: "empty" },
          index.cells.length > 1
            ? "The tests of all cells agree on every mutant."
            : "Mutants ran in one cell: there is nothing to disagree with.",
        ),
      ),
    ];
  // where the change is the same, it is the cells that differ
  const sorted = [...divergent].sort((a, b) => Number(b.same_change) - Number(a.same_change));
  const other = divergent.filter((entry) => !entry.same_change).length;
  return [
    section(
      countOf(divergent.length, "mutant") + " on which cells disagree",
      {
        class: "divergents",
        note:
          "The tests of one cell see the fault and another's do not. First those whose change is the same in both." +
          (other
            ? ` Of ${whole(other)} the change is in other code in each cell, which says little about the device.`
            : ""),
      },
      folded(sorted, 50, (entry) => divergentCard(index, entry), "mutants"),
    ),
  ];
}

function divergentCard(index, entry) {
  const row = index.row(entry.model, entry.mutant);
  return h(
    "article",
    { class: "card" },
    h(
      "h3",
      null,
      row ? h("a", { class: "id", href: mutantAddress(row) }, entry.mutant) : entry.mutant,
      index.several ? h("span", { class: "model" }, entry.model) : null,
    ),
    h(
      "p",
      { class: "verdictlist" },
      Object.entries(entry.verdicts).map(([cell, verdict]) =>
        h("span", { class: "at" }, `${cell} `, chip(verdict)),
      ),
    ),
    explanation(index, entry),
  );
}

function explanation(index, entry) {
  const [a, b] = entry.cells;
  const code = entry.same_change
    ? lineDiff(entry.before[a], entry.after[a], "tvmscript")
    : h(
        "div",
        { class: "two" },
        [a, b].map((cell) =>
          h(
            "div",
            null,
            h("p", { class: "note" }, `another change in ${cell}:`),
            lineDiff(entry.before[cell], entry.after[cell], "tvmscript"),
          ),
        ),
      );
  return [
    code,
    h(
      "div",
      { class: "two" },
      [a, b].map((cell) =>
        h("div", { class: "effect" }, h("b", null, cell), " ", effect(entry.figures[cell])),
      ),
    ),
    h("p", { class: "between" }, betweenWords(index, entry)),
  ];
}

function effect(figures) {
  const [reason] = (figures.reason || "").split("\n");
  if (figures.propagated === null) return reason || "it gave no outputs";
  const said = `The output differs from the unmutated network's for ${countOf(figures.propagated, "input")}, the top-1 for ${whole(figures.top1_changed)}.`;
  return reason ? [said, h("br"), h("small", null, reason)] : said;
}

function betweenWords(index, { between, cells, model }) {
  if (!between) return `Outputs of ${cells.join(" and ")} were not compared.`;
  if (!between.differing)
    return `Between the two: the same bits for ${countOf(between.inputs, "input")}.`;
  const count = inputNumbers(between.top1_dissimilar).length;
  const which = count ? ` (${inputWords(index, model, between.top1_dissimilar)})` : "";
  const most = between.max_abs_diff === null ? "infinite" : figure(between.max_abs_diff, 3);
  return `Between the two: top-1 differs for ${whole(count)} of ${countOf(between.inputs, "input")}${which}, the largest difference of two scores is ${most}.`;
}

function divergence(index, m) {
  const entry = index.divergence(m);
  return entry
    ? section(
        `Why ${entry.cells.join(" and ")} disagree`,
        { class: "divergence" },
        explanation(index, entry),
      )
    : null;
}

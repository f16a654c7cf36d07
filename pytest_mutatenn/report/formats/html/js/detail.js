// One mutant: what was changed, who noticed, and how to run it again.

function mutantView(index) {
  const now = state.now;
  const id = now.get("mutant");
  const model = now.get("of");
  const row = (model && index.row(model, id)) || index.rows.find((one) => one.m.id === id) || null;
  const back = h("a", { class: "back", href: address(LIST) }, "‹ All mutants");
  if (!row)
    return [
      h("nav", { class: "crumbs" }, back),
      h(
        "section",
        null,
        h("h2", null, "No such mutant"),
        h("p", null, "This report has no mutant ", h("code", null, id), "."),
      ),
    ];
  const details = index.details(row);
  const m = withDetails(row, details);
  const names = row.cells.map(([name]) => name);
  const cell = names.includes(now.get("at")) ? now.get("at") : firstCell(row);
  return [
    neighbours(index, row, back),
    mutantHead(index, row),
    cellTable(row, m, cell),
    divergence(index, m),
    cell ? h("div", { class: "chosen" }, inCell(index, m, cell)) : null,
    pairTable(index, details.pairs),
    groupTable(m),
  ];
}

// the mutant with all that is known of it
function withDetails(row, details) {
  const cells = row.cells.map(([cell, there]) => [cell, { ...there, ...details.cells[cell] }]);
  return { ...row.m, cells: Object.assign(Object.create(null), Object.fromEntries(cells)) };
}

function firstCell(row) {
  const by = (test) => row.cells.find(([, there]) => test(there))?.[0];
  return (
    by((there) => there.verdict === "SURVIVED") ??
    by((there) => verdictOf(there.verdict).scored) ??
    by((there) => there.planned) ??
    row.cells[0]?.[0]
  );
}

function neighbours(index, row, back) {
  const { rows } = selected(index, state.now);
  const at = rows.indexOf(row);
  const link = (to, name, key) => {
    const other = rows[to];
    return other && at >= 0
      ? h(
          "a",
          { class: "turn", href: mutantAddress(other), "data-key": key, title: other.m.id },
          name,
        )
      : h("span", { class: "turn off" }, name);
  };
  return h(
    "nav",
    { class: "crumbs", "aria-label": "mutants" },
    back,
    h(
      "span",
      { class: "turns" },
      at >= 0 ? h("span", { class: "note" }, `${whole(at + 1)} of ${whole(rows.length)}`) : null,
      link(at - 1, "‹ Previous", "previous"),
      link(at + 1, "Next ›", "next"),
    ),
  );
}

function mutantHead(index, { m }) {
  const layers = m.layers.map((layer) => index.titleOf(m.model, layer)).join(", ");
  const parameters = Object.entries(m.parameters ?? {}).map(
    ([name, value]) => `${name} = ${figure(value, 6)}`,
  );
  return h(
    "section",
    { class: "mutanthead" },
    h("h2", { class: "id" }, m.id),
    h("p", { class: "says" }, withCode(index.says(m.operator))),
    facts([
      ["Network", m.model],
      ["Operator", m.operator],
      ["Category", index.titles[m.category] ?? m.category],
      ["Stage", m.stage],
      ["Kernel", m.kernel],
      ["Site", m.site],
      [m.layers.length > 1 ? "Layers" : "Layer", layers || m.layer],
      ["Weight", m.weight],
      ["Parameters", parameters.join(", ")],
    ]),
  );
}

function cellTable(row, m, cell) {
  const line = ([name, there]) =>
    h(
      "tr",
      { class: name === cell ? "here" : null },
      h(
        "th",
        { scope: "row" },
        h(
          "a",
          { href: mutantAddress(row, { at: name }), "aria-current": name === cell ? "true" : null },
          name,
        ),
      ),
      h(
        "td",
        null,
        chip(there.verdict),
        there.alone !== there.verdict ? h("small", null, ` alone ${there.alone}`) : null,
      ),
      h("td", { class: "wide" }, shortReason(there)),
      h("td", { class: "number" }, whole(there.infected)),
      h("td", { class: "number" }, whole(there.propagated)),
      h("td", { class: "number" }, whole(there.top1_changed)),
      h("td", { class: "number" }, whole(there.inputs_run)),
      h("td", { class: "number" }, figure(there.tau_mean)),
      h("td", { class: "number" }, seconds(there.seconds_compile)),
      h("td", { class: "number" }, seconds(there.seconds_run)),
    );
  return h(
    "section",
    { class: "cells" },
    h("h2", null, row.cells.length === 1 ? "Verdict" : "Verdicts"),
    m.divergent
      ? h(
          "p",
          { class: "note" },
          h("span", { class: "diverges" }, "≠"),
          " The tests of the cells disagree on this mutant.",
        )
      : null,
    table(
      [
        "cell",
        "verdict",
        "why",
        "#infected",
        "#propagated",
        "#top-1",
        "#inputs run",
        "#mean tau",
        "#compile",
        "#run",
      ],
      Object.entries(m.cells).map(line),
      { label: "verdicts" },
    ),
  );
}

function shortReason(there) {
  const [first] = (there.reason || "").split("\n");
  const said = first || why(there);
  const killers = there.killed_by.join(", ");
  return [
    killers ? h("b", null, killers, " ") : null,
    said.length > 110 ? `${said.slice(0, 110)}…` : said,
  ];
}

function inCell(index, m, cell) {
  const there = m.cells[cell];
  const change = index.parts(there.change);
  const code = index.parts(there.code);
  const before = there.before || m.before;
  const after = there.after || m.after;
  const sentence = whySentence(there);
  return [
    h("h2", { class: "cellname" }, `In ${cell}`),
    sentence ? h("p", { class: "why" }, sentence) : null,
    there.undefined
      ? h(
          "p",
          { class: "notice" },
          `${there.undefined}: undefined, and another device may show it.`,
        )
      : null,
    there.indistinguishable
      ? h(
          "p",
          { class: "notice" },
          "Within the noise: the whole difference lies under what the unmutated network differs by from run to run.",
        )
      : null,
    before || after || change.length
      ? section(
          "Change",
          { class: "change" },
          change.length
            ? change.map((part) => diffBox(part, "change in context"))
            : lineDiff(before, after, "tvmscript"),
          change.length
            ? null
            : h(
                "p",
                { class: "note" },
                there.planned
                  ? "The code around it was not kept."
                  : "This cell does not have this mutant.",
              ),
        )
      : null,
    code.length
      ? section(
          "Generated code",
          { class: "change" },
          code.map((part) => diffBox(part, "generated code")),
        )
      : null,
    testsSection(m, cell),
    inputsSection(index, m, cell),
    there.reason && there.reason !== sentence
      ? section("Reason", null, h("pre", { class: "text" }, there.reason))
      : null,
    there.stderr
      ? section("Standard error", null, h("pre", { class: "text stderr" }, there.stderr))
      : null,
    section(
      "Run it alone",
      { class: "again" },
      copyable(commandOf(index.alone, m, cell)),
      facts([
        ["Outcome of the process", there.outcome],
        ["Compiled in", there.seconds_compile === null ? null : seconds(there.seconds_compile)],
        ["Run in", there.seconds_run === null ? null : seconds(there.seconds_run)],
        ["Inputs with NaN or infinity", there.nonfinite],
        ["Mean Kendall's tau", there.tau_mean === null ? null : figure(there.tau_mean, 6)],
        [
          "Largest difference of outputs",
          there.output_difference == null ? null : figure(there.output_difference),
        ],
        ["Accepted", there.accepted ? "yes: it is in no score" : null],
        ["Digest of the code", there.code_digest ? h("code", null, there.code_digest) : null],
        ["Kept files", keptFiles(index.record, there)],
      ]),
    ),
  ];
}

function keptFiles(record, there) {
  const files = there.artefacts ?? [];
  if (!files.length) return null;
  const folders = new Map(); // a folder is written once, before its files
  for (const file of files) {
    const at = file.lastIndexOf("/");
    const folder = [record.artefacts?.folder, file.slice(0, Math.max(at, 0))]
      .filter(Boolean)
      .join("/");
    folders.set(folder, [...(folders.get(folder) ?? []), file.slice(at + 1)]);
  }
  return [...folders].map(([folder, names]) => [
    folder ? ["in ", h("code", null, folder), ":"] : null,
    h(
      "ul",
      null,
      names.map((name) => h("li", null, h("code", null, name))),
    ),
  ]);
}

function testsSection(m, cell) {
  const there = m.cells[cell];
  const margins = there.margins ?? [];
  const names = [
    ...new Set([...there.killed_by, ...there.survived, ...margins.map((one) => one.test)]),
  ].sort();
  if (!names.length) return null;
  const line = (name) => {
    const killed = there.killed_by.includes(name);
    const own = margins.filter((one) => one.test === name);
    return [
      name,
      killed
        ? h("span", { class: "chip killed" }, h("b", null, "k"), "killed it")
        : h("span", { class: "chip survived" }, h("b", null, "S"), "passed"),
      own.map((one) =>
        h(
          "div",
          null,
          `${one.metric} ${one.op ?? ""} ${figure(one.bound)}: ${one.exact === false ? "about " : ""}${figure(one.value, 6)}`,
          h("small", null, `, margin ${figure(one.margin, 3)}${roomWords(one)}`),
        ),
      ),
    ];
  };
  return section(
    "Tests",
    { class: "tests" },
    table(
      ["test", "what it did", ...(margins.length ? ["value and margin"] : [])],
      names.map((name) => line(name).slice(0, margins.length ? 3 : 2)),
      { label: "tests" },
    ),
  );
}

// a margin by that of the unmutated network
function roomWords({ relative }) {
  if (relative === null || relative === undefined) return "";
  return `: ${figure(100 * Math.abs(relative), 2)} % of the unmutated network's`;
}

function pairTable(index, pairs) {
  if (!pairs.length) return null;
  return section(
    "Between the cells",
    { class: "pairs", note: "How far the outputs of this mutant are from each other." },
    comparisons(index, [...pairs].sort(worse), null),
  );
}

function groupTable(m) {
  const groups = Object.entries(m.groups ?? {});
  if (!groups.length) return null;
  return section(
    "Tests that compare cells",
    { class: "groups" },
    table(
      ["cells", "verdict", "tests", "reason"],
      groups.map(([name, there]) => [
        name,
        chip(there.verdict),
        [...there.killed_by, ...there.survived].join(", "),
        (there.reason || "").split("\n")[0],
      ]),
      { label: "tests that compare cells" },
    ),
  );
}

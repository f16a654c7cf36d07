// The first screen: how good the tests are, on what, and where they are blind.

function overview(index) {
  const { record } = index;
  const parts = [hero(index), alarms(record), ranOn(index)];
  if (record.mutants.length) {
    parts.push(
      h("div", { class: "two maps" }, heatMap(index), h("div", null, layerBars(index))),
      scoreParts(index),
      nearMisses(index),
    );
  } else if (record.baseline.length) {
    parts.push(baselineTable(record));
  }
  return parts;
}

function hero(index) {
  const { record, rows } = index;
  const { overall } = record.score;
  if (!rows.length) {
    return h(
      "section",
      { class: "hero" },
      h(
        "div",
        { class: "score" },
        h("p", { class: "big" }, "no mutants"),
        h(
          "p",
          { class: "note" },
          record.run.options?.baseline_only
            ? "Only the unmutated network was run."
            : "No mutant was made in this run.",
        ),
      ),
      gates(record),
    );
  }
  const required = (record.gates ?? []).find(
    (gate) => gate.gate === "fail-under" && !gate.scope && typeof gate.required === "number",
  )?.required;
  const survivors = rows.filter((row) => row.survived).length;
  const to = (changes) => fresh({ view: "mutants", ...changes });
  const number = (count, noun, href) =>
    h("li", null, h("a", { href }, h("b", null, whole(count)), ` ${noun}`));
  return h(
    "section",
    { class: "hero" },
    h(
      "div",
      { class: "score" },
      h("h2", null, "Mutation score"),
      h(
        "p",
        { class: "big" },
        overall.score === null ? "none" : [overall.score.toFixed(1), h("small", null, " %")],
      ),
      scoreLine(overall, required),
      h(
        "p",
        { class: "note" },
        overall.score === null ? "No mutant was tested." : null,
        overall.score === null
          ? null
          : `${whole(overall.detected)} of ${countOf(overall.detected + overall.survived, "verdict")} detected the fault`,
        overall.low === null
          ? null
          : ` · a sample, with 95 % confidence ${overall.low.toFixed(1)} to ${overall.high.toFixed(1)} %`,
      ),
    ),
    h(
      "ul",
      { class: "numbers" },
      number(rows.length, rows.length === 1 ? "mutant" : "mutants", to({})),
      number(survivors, survivors === 1 ? "survives" : "survive", to({ verdict: "SURVIVED" })),
      number(
        record.divergent.length,
        "on which cells disagree",
        record.divergent.length ? fresh({ view: "divergent" }) : to({ mark: "divergent" }),
      ),
      number(
        rows.filter((row) => !row.survived && !row.detected).length,
        "not in the score",
        to({ mark: "unscored" }),
      ),
    ),
    gates(record),
  );
}

function gates(record) {
  const found = record.gates ?? [];
  if (!found.length)
    return h(
      "div",
      { class: "gates" },
      h("h2", null, "Gates"),
      h("p", { class: "note" }, "None was asked for."),
    );
  const failed = found.filter((gate) => !gate.passed).length;
  return h(
    "div",
    { class: "gates" },
    h("h2", null, failed ? `${countOf(failed, "gate")} not passed` : "Gates passed"),
    h(
      "ul",
      null,
      found.map((gate) =>
        h(
          "li",
          { class: gate.passed ? "passed" : "failed" },
          h("b", null, gate.passed ? "✓ passed " : "✗ failed "),
          h("span", null, gate.text || gateWords(gate)),
        ),
      ),
    ),
  );
}

function gateWords({ gate, scope, required, reached, by }) {
  const name = scope ? `${gate} (${scope})` : gate;
  return `${name}: required ${figure(required)}, reached ${figure(reached)}${by ? `, by ${by}` : ""}`;
}

// what makes the numbers above mean less than they say
function alarms(record) {
  const lines = [];
  for (const check of record.checks) {
    if (check.id === "canary" && check.verdict === "SURVIVED")
      lines.push(
        `The canary lives in ${check.cell}: no test notices that the network's output has the wrong sign. This suite cannot kill anything there.`,
      );
  }
  for (const entry of record.baseline) {
    if (entry.outcome === "failed" || entry.outcome === "error")
      lines.push(
        `${entry.test} ${entry.outcome === "failed" ? "fails" : "cannot run"} on the unmutated network in ${entry.cell}, and kills nothing there.`,
      );
  }
  for (const cell of record.cells) {
    if (!cell.available) lines.push(`${cell.id} did not run, no such device: ${cell.reason}`);
  }
  const quiet = record.warnings.map((text) => h("li", { class: "warning" }, text));
  if (!lines.length && !quiet.length) return null;
  return h(
    "section",
    { class: "alarms", "aria-label": "warnings" },
    h(
      "ul",
      null,
      lines.map((text) => h("li", { class: "alarm" }, text)),
      quiet,
    ),
  );
}

function ranOn(index) {
  const { record } = index;
  const { run } = record;
  const devices = grouped(record.cells, (cell) => cell.device);
  const shape = (tensor) => `${tensor.name} ${tensor.dtype} ${(tensor.shape ?? []).join("×")}`;
  const levels = [...devices].map(([device, cells]) => {
    const at = cells.map((cell) => `O${cell.opt_level}`).join(", ");
    return h("li", { title: cells[0].fingerprint }, h("b", null, device), ` ${at}`);
  });
  const networks = record.models.map((model) =>
    h(
      "li",
      null,
      h("b", null, model.id),
      ` ${(model.inputs ?? []).map(shape).join(", ")}`,
      h("small", null, ` ${model.source ?? ""}`),
    ),
  );
  const inputs = record.models
    .filter((model) => model.dataset)
    .map(({ dataset }) =>
      h(
        "li",
        null,
        h("b", null, countOf(dataset.count, "input")),
        dataset.labelled ? " with labels" : " without labels",
        h("small", null, ` ${dataset.source ?? ""}`),
      ),
    );
  const list = (items) => (items.length ? h("ul", null, items) : null);
  return h(
    "section",
    { class: "ranon", "aria-label": "what it was run on" },
    facts([
      [record.models.length === 1 ? "Network" : "Networks", list(networks)],
      ["Inputs", list(inputs)],
      [devices.size === 1 ? "Device" : "Devices", list(levels)],
      ["Mutants", mutantsAsked(record)],
      [
        "Versions",
        `pytest-mutatenn ${run.version ?? "several"}, TVM ${run.tvm ?? "several"}, Python ${run.python ?? "several"}`,
      ],
      [
        "Host",
        run.host
          ? `${run.host.cpu}, ${countOf(run.host.cores, "core")}, ${run.host.os}`
          : "several",
      ],
      ["When", [date(run.started), `, in ${seconds(run.seconds)}`]],
    ]),
    h(
      "p",
      { class: "note" },
      h("a", { href: fresh({ view: "run" }) }, "The run, its options and its counts"),
    ),
  );
}

function mutantsAsked(record) {
  const options = record.run.options ?? record.run.runs?.[0]?.options;
  if (!options) return null;
  const said = [`operators ${options.operators}`];
  if (options.stages?.length) said.push(`stages ${options.stages.join(", ")}`);
  if (options.sample) {
    const [size, share] = [options.sample].flat();
    said.push(share ? `a sample of ${size} %` : `a sample of ${size} in each cell`);
  }
  const [order, number] = [options.order ?? []].flat();
  if (order === "sweep" || number > 1) said.push(`order ${order} ${number ?? ""}`);
  said.push(`seed ${options.seed}`);
  if (options.reference) said.push(`compared with ${options.reference}`);
  return said.join(", ");
}

// the place of a category in the documentation; a user's own come last
function order(index, category) {
  const at = Object.keys(index.titles).indexOf(category);
  return at < 0 ? Infinity : at;
}

function scoreParts(index) {
  const { score } = index.record;
  const to = (facet) => (value) => fresh({ view: "mutants", [facet]: value });
  const itself = (name) => name;
  const ordered = Object.fromEntries(
    Object.entries(score.by_category).sort(
      ([a], [b]) => order(index, a) - order(index, b) || (a < b ? -1 : 1),
    ),
  );
  return section(
    "Scores",
    { class: "parts" },
    h(
      "div",
      { class: "two" },
      scoreTable("by category", ordered, (name) => index.titles[name] ?? name, to("category")),
      h(
        "div",
        null,
        scoreTable("by stage", score.by_stage, itself, to("stage")),
        scoreTable("by cell", score.by_cell, itself, to("cell")),
        scoreTable(
          "by groups of cells: of what the tests of one cell left, by the tests that compare cells",
          score.by_group,
          itself,
        ),
      ),
    ),
  );
}

// the margins with which mutants were killed, or were not
function nearMisses(index) {
  const margins = index.record.margins ?? {};
  const lists = Object.entries(margins).filter(([, found]) => Array.isArray(found) && found.length);
  if (!lists.length) return null;
  const titles = {
    nearly_killed: "Nearly killed: survivors nearer to a bound than the unmutated network",
    barely_killed: "Barely killed: beyond a bound by less than the unmutated network's room",
  };
  return section(
    "Close to the bound",
    { class: "margins" },
    lists.map(([name, found]) => [
      h("h3", null, titles[name] ?? name.replaceAll("_", " ")),
      marginTable(index, found),
      margins.left_out?.[name]
        ? h(
            "p",
            { class: "note" },
            `And ${whole(margins.left_out[name])} more; each mutant has its own margins.`,
          )
        : null,
    ]),
    Object.entries(margins.not_known ?? {}).map(([reason, count]) =>
      h("p", { class: "note" }, `Not known ${countOf(count, "time")}: ${reason}.`),
    ),
  );
}

const room = ({ relative }) =>
  relative === null || relative === undefined ? "–" : `${figure(100 * Math.abs(relative), 2)} %`;

function marginTable(index, found) {
  const line = (entry) => {
    const row = index.row(entry.model, entry.mutant);
    return h(
      "tr",
      null,
      h(
        "td",
        null,
        row
          ? h("a", { href: mutantAddress(row, { at: entry.cell }), class: "id" }, entry.mutant)
          : entry.mutant,
      ),
      h("td", null, entry.cell),
      h("td", null, entry.test),
      h("td", null, `${entry.metric} ${entry.op ?? ""} ${figure(entry.bound)}`),
      h("td", { class: "number" }, figure(entry.value, 6)),
      h("td", { class: "number" }, figure(entry.margin, 3)),
      h("td", { class: "number" }, room(entry)),
    );
  };
  return table(
    ["mutant", "cell", "test", "assertion", "#value", "#margin", "#of the room"],
    found.map(line),
    {
      label: "margins",
      shown: 10,
      noun: "mutants",
    },
  );
}

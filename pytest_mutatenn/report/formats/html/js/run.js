// The run: what was asked for, what was left out, what work it was.

function runView(index) {
  const { record } = index;
  const runs = record.run.runs?.length ? record.run.runs : [record.run];
  return [
    section(
      runs.length > 1 ? `${runs.length} runs, combined` : "The run",
      null,
      runs.map((run) => runFacts(run)),
    ),
    modelsSection(record),
    devicesSection(record),
    leftOut(index),
    countersSection(record),
  ];
}

function runFacts(run) {
  const options = Object.entries(run.options ?? {});
  return h(
    "div",
    { class: "onerun" },
    facts([
      ["Started", date(run.started)],
      ["Took", seconds(run.seconds)],
      ["Workers", run.workers === 0 ? "none: in one process" : whole(run.workers)],
      ["pytest-mutatenn", run.version],
      ["TVM", run.tvm],
      ["Python", run.python],
      [
        "Host",
        run.host ? `${run.host.cpu}, ${countOf(run.host.cores, "core")}, ${run.host.os}` : null,
      ],
      ["Seed", run.seed],
      ["Shard", shardWords(run.shard)],
      ["Root", run.root],
    ]),
    copyable(["python", "-m", "pytest", ...(run.argv ?? [])].map(quoted).join(" ")),
    options.length
      ? h(
          "details",
          null,
          h("summary", null, "Options as they were read"),
          table(
            ["option", "value"],
            options.map(([name, value]) => [name, h("code", null, JSON.stringify(value))]),
            { label: "options" },
          ),
        )
      : null,
  );
}

// as it was asked for: K/N, or as the record has it
function shardWords(shard) {
  if (shard === null || shard === undefined) return null;
  return Array.isArray(shard)
    ? shard.join(" of ")
    : typeof shard === "object"
      ? JSON.stringify(shard)
      : shard;
}

function modelsSection(record) {
  const shape = (tensor) =>
    tensor ? `${tensor.name}: ${tensor.dtype} ${(tensor.shape ?? []).join(" × ")}` : null;
  return section(
    record.models.length === 1 ? "Network" : "Networks",
    null,
    record.models.map((model) =>
      h(
        "div",
        { class: "onerun" },
        h("h3", null, model.id),
        facts([
          ["File", model.source],
          ["Digest", model.digest ? h("code", null, model.digest) : null],
          ["Inputs", (model.inputs ?? []).map(shape).join(", ")],
          ["Output", shape(model.output)],
          ["Layers", model.layers ? whole(Object.keys(model.layers).length) : null],
          ["Data set", model.dataset?.source],
          ["Its digest", model.dataset ? h("code", null, model.dataset.digest) : null],
          ["Number of inputs", model.dataset ? whole(model.dataset.count) : null],
          ["Labels", model.dataset ? (model.dataset.labelled ? "yes" : "no") : null],
          ["Thumbnails", thumbnailWords(model.dataset)],
        ]),
      ),
    ),
  );
}

function thumbnailWords(dataset) {
  const kept = dataset?.thumbnails;
  if (!kept) return dataset ? "none" : null;
  const count = Object.keys(kept.images ?? {}).length;
  const left = kept.left_out ? `, ${whole(kept.left_out)} left out` : "";
  return `${whole(count)}${left}${kept.reason ? `: ${kept.reason}` : ""}`;
}

function devicesSection(record) {
  return section(
    "Cells",
    null,
    table(
      ["cell", "device", "opt level", "here", "fingerprint", "target"],
      record.cells.map((cell) => [
        cell.id,
        cell.device,
        cell.opt_level === undefined ? "" : `O${cell.opt_level}`,
        cell.available ? "yes" : `no: ${cell.reason}`,
        cell.fingerprint ?? "",
        h("code", { class: "target" }, cell.target ?? ""),
      ]),
      { label: "cells" },
    ),
  );
}

function leftOut(index) {
  const { record } = index;
  const several = index.several;
  const words = {
    sampled_out: "not drawn into the sample",
    not_selected: "not selected",
    other_shards: "of other shards",
  };
  const absent = record.absent;
  const reasons = [...grouped(absent, (e) => `${e.operator}\t${e.stage}\t${e.reason}`).entries()];
  return section(
    "Not in the score",
    null,
    table(
      ["what", "#how many"],
      Object.entries(record.excluded).map(([name, count]) => [
        VERDICTS[name] ? [chip(name), ` ${VERDICTS[name].says}`] : (words[name] ?? name),
        whole(count),
      ]),
      { label: "not in the score" },
    ),
    record.plans.length
      ? [
          h("h3", null, "Mutants of each cell"),
          table(
            [
              ...(several ? ["network"] : []),
              "cell",
              "#mutants",
              "#not drawn",
              "#not selected",
              "#of other shards",
            ],
            record.plans.map((plan) => [
              ...(several ? [plan.model] : []),
              plan.cell,
              whole(plan.mutants),
              whole(plan.sampled_out),
              whole(plan.not_selected),
              whole(plan.other_shards),
            ]),
            { label: "plans" },
          ),
        ]
      : null,
    absent.length
      ? h(
          "details",
          null,
          h(
            "summary",
            null,
            `Operators without a site `,
            h("span", { class: "count" }, whole(reasons.length)),
          ),
          table(
            ["operator", "stage", "cells", "reason"],
            reasons.map(([, entries]) => [
              entries[0].operator,
              entries[0].stage,
              [...new Set(entries.map((e) => (several ? `${e.model} ${e.cell}` : e.cell)))].join(
                ", ",
              ),
              entries[0].reason,
            ]),
            { label: "operators without a site" },
          ),
        )
      : null,
  );
}

function countersSection(record) {
  const { artefacts, sources } = record;
  return section(
    "Work",
    null,
    facts([
      ...Object.entries(record.run.counters ?? {}).map(([name, count]) => [
        name.replaceAll("_", " "),
        whole(count),
      ]),
      ["sources in this report", sources ? whole(sources.length) : null],
      [
        "kept files",
        artefacts?.folder ? `${artefacts.kept.join(", ")} in ${artefacts.folder}` : null,
      ],
    ]),
    record.warnings.length
      ? [
          h("h3", null, "Warnings"),
          h(
            "ul",
            null,
            record.warnings.map((text) => h("li", null, text)),
          ),
        ]
      : null,
  );
}

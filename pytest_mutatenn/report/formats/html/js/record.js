// Reads the packed data: see pack.py for its form.

// without Object's prototype: a key comes from a model, and may be named like a part of it
function Bare() {}
Bare.prototype = Object.create(null);

const read = (element) => unpack(JSON.parse(element.textContent));

function unpack({ shapes, values, root }) {
  const known = new Array(values.length);
  const hole = "\ue000";

  function item(packed) {
    return typeof packed === "string" ? value(parseInt(packed, 36)) : packed;
  }

  function value(place) {
    if (known[place] === undefined) {
      const packed = values[place];
      known[place] = typeof packed === "string" ? packed : composite(packed);
    }
    return known[place];
  }

  function composite(packed) {
    const shape = packed[0];
    const length = packed.length - 1;
    if (shape === -1) {
      const found = new Array(length);
      for (let at = 0; at < length; at++) found[at] = item(packed[at + 1]);
      return found;
    }
    if (shape === -2) {
      const pieces = item(packed[1]).split(hole);
      return pieces.map((piece, at) => (at ? packed[at + 1] + piece : piece)).join("");
    }
    const found = new Bare();
    const keys = shapes[shape];
    for (let at = 0; at < length; at++) found[keys[at]] = item(packed[at + 1]);
    return found;
  }

  return item(root);
}

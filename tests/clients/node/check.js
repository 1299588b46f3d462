// SPDX-License-Identifier: MIT OR Apache-2.0
// What must be, what must not be, and how many of them there were.
"use strict";
const assert = require("node:assert");

let checks = 0;

exports.ok = (what, good) => {
  checks++;
  assert.ok(good, what);
  console.log("ok -", what);
};

exports.same = (what, got, wanted) => exports.ok(what, Buffer.compare(Buffer.from(got), Buffer.from(wanted)) === 0);

// The call throws, and what it throws names this result.
exports.refused = (what, result, call) => {
  let thrown = null;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  exports.ok(`${what}: ${result} (${thrown && thrown.message})`, thrown !== null && thrown.message.includes(result));
};

exports.changed = (bytes, at) => {
  const copy = Buffer.from(bytes);
  copy[at < 0 ? copy.length + at : at] ^= 1;
  return copy;
};

exports.finish = (name) => console.log(`${name}: ${checks} checks, 0 failed`);

/** Plays episodes through proxies that cut the connection; every address has a cut of its own. */

import assert from "node:assert/strict";

import { connect } from "../../src/index.ts";
import type { Encoding } from "../../src/index.ts";

const [encoding, ...urls] = process.argv.slice(2) as [Encoding, ...string[]];
for (const url of urls) {
  const connection = await connect(url, { encodings: [encoding], random: () => 0 });
  const session = await connection.open();
  const { observation } = await session.reset({ episodeId: url });
  const totals = [observation.total];
  for (let step = 0; step < 3; step++) totals.push((await session.step({ amount: 1 })).observation.total);
  assert.equal((await session.state()).step_count, 3);
  await session.close();
  assert.deepEqual(totals, [0, 1, 2, 3]);
  await connection.close();
}
console.log("played");

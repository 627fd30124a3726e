/** Plays an episode that the server ends, and prints why. */

import { EpisodeLost, connect } from "../../src/index.ts";

const [url] = process.argv.slice(2) as [string];
const connection = await connect(url);
const { promise: ended, resolve } = Promise.withResolvers<EpisodeLost>();
const session = await connection.open({ onEnded: resolve });
await session.reset();
console.log("running");
const loss = await ended;
const error = await session.step({ amount: 1 }).catch((thrown: unknown) => thrown);
console.log(error instanceof EpisodeLost && error.reason === loss.reason ? loss.reason : String(error));
await connection.close();

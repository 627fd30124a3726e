"""A client program: takes STEPS observations with an array each and prints the seconds that they took.

usage: play_arrays.py URL STEPS uint8|float32

The same file on both sides, in the names that both know. A trainer needs an array, so one is made of what comes.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from openenv.core import GenericEnvClient

if __name__ == "__main__":
    url, steps, dtype = sys.argv[1], int(sys.argv[2]), np.dtype(sys.argv[3])
    with GenericEnvClient(base_url=url).sync() as client:
        client.reset()
        begun = time.perf_counter()
        total = 0
        for _ in range(steps):
            total += np.asarray(client.step({"message": ""}).observation["frame"], dtype=dtype).nbytes
        took_s = time.perf_counter() - begun
    if total != steps * (84 * 84 * 4 if dtype == np.uint8 else 4 * 512 * 512):
        raise SystemExit(f"{total} bytes came in {steps} observations")
    print(took_s)

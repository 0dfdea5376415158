#!/usr/bin/env python3
"""Writes trend.json: series, and the results of SciPy and pymannkendall for them.

    python3 -m venv target/oracle-venv && target/oracle-venv/bin/pip install scipy==1.17.1 pymannkendall==1.4.3
    target/oracle-venv/bin/python tests/oracles/trend.py > tests/oracles/trend.json

`verdicts::trend_statistics_match_scipy` compares them with ours. The seeds are fixed: write the file anew only for new cases.
"""

import json
import math
import sys
import warnings

import numpy
import pymannkendall
import scipy.stats

# An exact line has no residuals to correlate: not a number, written as null.
warnings.simplefilter("ignore")
chance = numpy.random.default_rng(20261124)


def cases():
    for length in (5, 8, 13, 20, 40, 77):
        steps = numpy.arange(length)
        yield "line", 1e6 + 3.5 * steps
        yield "noisy line", 1e6 + 100 * steps + chance.normal(0, 500, length)
        yield "noise", chance.normal(0, 1, length)
        yield "walk", numpy.cumsum(chance.normal(0, 4096, length))
        yield "ties", chance.integers(0, 4, length).astype(float)
        yield "falling, in pages", 4096.0 * numpy.floor(100 - steps / 3 + chance.normal(0, 1, length))
        noise = numpy.zeros(length)
        for index in range(1, length):
            noise[index] = 0.8 * noise[index - 1] + chance.normal()
        yield "churn on a line", 0.1 * steps + noise


def main():
    written = []
    for name, values in cases():
        # Slopes are at irregular times; the tests use the order alone, with the slope at equal distances.
        seconds = numpy.cumsum(chance.uniform(0.5, 3.0, len(values)))
        slope = scipy.stats.theilslopes(values, seconds, 0.95)
        plain = pymannkendall.original_test(values)
        corrected = pymannkendall.hamed_rao_modification_test(values)
        tau = scipy.stats.kendalltau(numpy.arange(len(values)), values).statistic
        written.append({
            "name": f"{name}, {len(values)}",
            "seconds": seconds.tolist(),
            "values": values.tolist(),
            "slope": slope.slope, "low": slope.low_slope, "high": slope.high_slope,
            "equal_slope": corrected.slope,
            "s": int(plain.s), "variance": float(plain.var_s), "z": float(plain.z), "p": float(plain.p),
            "corrected_variance": None if math.isnan(corrected.var_s) else float(corrected.var_s), "tau": float(tau),
        })
    json.dump(written, sys.stdout, indent=None, separators=(",", ":"))
    print()


main()

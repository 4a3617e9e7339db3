"""What Numba compiles in place of the functions of `vector_math`; the accuracy and the method stand there."""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from hydrocli.jit import by_precision
from hydrocli.water.vector_math import (
    exp,
    exp_parts,
    expm1,
    inverse_fourth_root,
    log,
    maximum,
    minimum,
    sqrt,
    where_positive,
)


def _bitcast(source, target, llvm_type):
    """The same bits read as another type."""

    @intrinsic
    def cast(_context, _value):
        def generate(_context, builder, _signature, arguments):
            return builder.bitcast(arguments[0], llvm_type)

        return target(source), generate

    return cast


# AVX2 has neither arithmetic shifts to the right of 64-bit integers nor their conversion to double: bits are unsigned.
_bits64 = _bitcast(types.float64, types.uint64, ir.IntType(64))
_real64 = _bitcast(types.uint64, types.float64, ir.DoubleType())
_bits32 = _bitcast(types.float32, types.int32, ir.IntType(32))
_real32 = _bitcast(types.int32, types.float32, ir.FloatType())

# Adding 1.5 * 2^52 (2^23) rounds to the nearest integer and leaves it in the low bits.
_ROUND64, _ROUND32 = 6755399441055744.0, np.float32(12582912.0)
_LN2_HIGH64, _LN2_LOW64 = 0.6931471803691238, 1.9082149292705877e-10
_LN2_HIGH32, _LN2_LOW32 = np.float32(0.693359375), np.float32(-2.12194440e-4)


def _exp_parts64(x):
    z = x * 1.4426950408889634 + _ROUND64
    n = z - _ROUND64
    r = (x - n * _LN2_HIGH64) - n * _LN2_LOW64
    r2 = r * r
    r4 = r2 * r2
    low = (0.5000000000000001 + r * 0.16666666666666669) + r2 * (0.04166666666662413 + r * 0.008333333333330062)
    mid = 0.0013888888917213717 + r * 0.00019841269863053618
    mid = mid + r2 * (2.4801521295954376e-05 + r * 2.7557268459997064e-06)
    high = 2.7620088445409746e-07 + r * 2.510038549551032e-08
    power = _real64((_bits64(z) + np.uint64(1023)) << np.uint64(52))
    return r + r2 * (low + r4 * (mid + r4 * high)), power


def _exp_parts32(x):
    z = x * np.float32(1.44269504) + _ROUND32
    n = z - _ROUND32
    r = (x - n * _LN2_HIGH32) - n * _LN2_LOW32
    p = np.float32(0.00019890990824673654)
    p = p * r + np.float32(0.0013933649996309251)
    p = p * r + np.float32(0.0083333109254809)
    p = p * r + np.float32(0.041666464925285904)
    p = p * r + np.float32(0.16666666681623232)
    p = p * r + np.float32(0.500000001346581)
    power = _real32(np.int32(np.int32(_bits32(z) + np.int32(127)) << np.int32(23)))
    return r + r * r * p, power


def _exp64(x):
    q, power = exp_parts(min(max(x, -700.0), 700.0))
    return power + power * q


def _exp32(x):
    q, power = exp_parts(min(max(x, np.float32(-87.0)), np.float32(87.0)))
    return power + power * q


def _expm1_64(x):
    q, power = exp_parts(min(max(x, -37.0), 40.0))
    return power * q + (power - 1.0)


def _expm1_32(x):
    q, power = exp_parts(min(max(x, np.float32(-37.0)), np.float32(40.0)))
    return power * q + (power - np.float32(1.0))


def _log64(x):
    bits = _bits64(x)
    biased = (bits + np.uint64(0x0009_5F61_9980_C433)) >> np.uint64(52)  # exponent + 1023, of m >= sqrt(1/2)
    m = _real64(bits - (biased << np.uint64(52)) + np.uint64(0x3FF0_0000_0000_0000))
    exponent = _real64(biased | np.uint64(0x4330_0000_0000_0000)) - 4503599627371519.0  # 2^52 + 1023
    f = (m - 1.0) / (m + 1.0)
    s = f * f
    s2 = s * s
    p = (0.666666666666667 + s * 0.3999999999989889) + s2 * (0.28571428626253836 + s * 0.22222211089379496)
    p = p + s2 * s2 * ((0.1818289243253687 + s * 0.15331611722055008) + s2 * 0.14617807153417325)
    return exponent * _LN2_HIGH64 + (exponent * _LN2_LOW64 + f * (2.0 + s * p))


def _log32(x):
    bits = _bits32(x)
    exponent = np.int32(np.int32(bits - np.int32(0x3F3504F3)) >> np.int32(23))
    m = _real32(np.int32(bits - np.int32(exponent << np.int32(23))))
    f = (m - np.float32(1.0)) / (m + np.float32(1.0))
    s = f * f
    p = (np.float32(0.29580985929974424) * s + np.float32(0.39988757716604845)) * s + np.float32(0.6666668509542907)
    n = np.float32(exponent)
    return n * _LN2_HIGH32 + (n * _LN2_LOW32 + f * (np.float32(2.0) + s * p))


def _sqrt(x):
    return math.sqrt(x)


def _inverse_fourth_root64(x):
    y = _real64(np.uint64(0x4FEB0C154C985C00) - (_bits64(x) >> np.uint64(2)))
    y2 = y * y
    r = 1.0 - x * (y2 * y2)
    y = y + y * r * (0.25 + r * (0.15625 + r * 0.1171875))
    y2 = y * y
    r = 1.0 - x * (y2 * y2)
    return y + y * r * (0.25 + r * (0.15625 + r * 0.1171875))


def _inverse_fourth_root32(x):
    y = _real32(np.int32(np.int32(0x4F5860AA) - np.int32(_bits32(x) >> np.int32(2))))
    y2 = y * y
    r = np.float32(1.0) - x * (y2 * y2)
    y = y + y * r * (np.float32(0.25) + r * (np.float32(0.15625) + r * np.float32(0.1171875)))
    y2 = y * y
    r = np.float32(1.0) - x * (y2 * y2)
    return y + y * r * np.float32(0.25)


def _maximum(x, y):
    return y if x < y else x


def _minimum(x, y):
    return y if x > y else x


@intrinsic
def _select(_context, x, yes, no):
    """One instruction, where Python's expression is a branch: LLVM would store one side of it under a mask."""

    def generate(_context, builder, _signature, arguments):
        number, if_positive, otherwise = arguments
        return builder.select(builder.fcmp_ordered(">", number, ir.Constant(number.type, 0.0)), if_positive, otherwise)

    return yes(x, yes, no), generate


def _where_positive(x, yes, no):
    return _select(x, yes, no)  # type: ignore[call-arg]


by_precision(exp_parts, _exp_parts64, _exp_parts32)
by_precision(exp, _exp64, _exp32)
by_precision(expm1, _expm1_64, _expm1_32)
by_precision(log, _log64, _log32)
by_precision(sqrt, _sqrt, _sqrt)
by_precision(inverse_fourth_root, _inverse_fourth_root64, _inverse_fourth_root32)
by_precision(maximum, _maximum, _maximum)
by_precision(minimum, _minimum, _minimum)
by_precision(where_positive, _where_positive, _where_positive)
